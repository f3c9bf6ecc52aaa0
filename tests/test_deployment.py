"""The deployment files are valid by their schemas and agree with the code; no engine ran them here."""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import redis
import yaml
from prometheus_client.parser import text_string_to_metric_families

from backend.metrics import Metrics
from mammo.runs.jobs import QUEUES
from mammo.settings import PREFIX, Settings
from tests.conftest import redis_program

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
COMPOSE = ROOT / "docker-compose.yml"
MONITORING = ROOT / "deploy/monitoring"


def run(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, words)), cwd=ROOT, capture_output=True, text=True, timeout=120, **options
    )


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load(COMPOSE.read_text())


def test_the_compose_file_is_valid_by_the_compose_specifications_schema():
    checked = run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_hadolint_has_nothing_to_say_of_the_dockerfile():
    checked = run(BIN / "hadolint", ROOT / "Dockerfile")
    assert checked.returncode == 0, checked.stdout


def test_every_setting_that_compose_gives_exists(compose):
    for name, service in compose["services"].items():
        given = {key for key in service.get("environment", {}) if key.startswith(PREFIX)}
        assert {key.removeprefix(PREFIX).lower() for key in given} <= set(Settings.model_fields), name


def test_compose_refuses_to_start_without_secrets_and_make_env_gives_them_all(tmp_path):
    required = set(re.findall(r"\$\{([A-Z_0-9]+):\?run make env\}", COMPOSE.read_text()))
    every = set(re.findall(r"\$\{([A-Z_0-9]+)", COMPOSE.read_text()))
    assert run(sys.executable, "deploy/make_env.py", tmp_path / ".env").returncode == 0
    text = (tmp_path / ".env").read_text()
    made = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#")
    secrets = [made[name] for name in required]
    assert "<" not in "".join(made.values())
    assert all(len(secret) >= 40 for secret in secrets)
    assert len(set(secrets)) == len(secrets)
    assert every - made.keys() <= {"LABEL_STUDIO_PORT", "GRAFANA_PORT"}, "these have defaults"
    assert os.stat(tmp_path / ".env").st_mode & 0o777 == 0o600
    again = run(sys.executable, "deploy/make_env.py", tmp_path / ".env")
    assert again.returncode == 1
    assert (tmp_path / ".env").read_text() == text


def test_no_process_gets_a_secret_as_an_argument(compose):
    """Every user of a machine sees the arguments of its processes."""
    secret = re.compile(r"(?<!\$)\$\{?\w*(PASSWORD|SECRET|KEY|TOKEN|URL)")
    for name, service in compose["services"].items():
        words = [
            service.get("command"),
            service.get("entrypoint"),
            service.get("healthcheck", {}).get("test"),
        ]
        assert not secret.search(repr(words)), name
    assert secret.search(repr(["--requirepass", "${REDIS_PASSWORD:?run make env}"])), "it would be noticed"
    assert "--from-literal" not in (ROOT / "deploy/kubernetes/README.md").read_text()


def test_the_broker_takes_its_password_from_standard_input(compose, tmp_path):
    """The command of the compose file, with the server that this machine has."""
    command = [word.replace("$$", "$") for word in compose["services"]["valkey"]["command"]]
    command[-1] = command[-1].replace(
        "valkey-server -", f"{redis_program()} - --port 0 --unixsocket {tmp_path}/s --dir {tmp_path}"
    )
    server = subprocess.Popen(command, env={"REDISCLI_AUTH": "right-1"}, stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis(unix_socket_path=f"{tmp_path}/s", password="right-1")
        for _ in range(100):
            with suppress(redis.ConnectionError):
                if client.ping():
                    break
            time.sleep(0.05)
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        assert b"right-1" not in Path(f"/proc/{server.pid}/cmdline").read_bytes()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(unix_socket_path=f"{tmp_path}/s").ping()
    finally:
        server.terminate()
        server.wait(20)


def test_no_service_of_ours_is_root_writes_its_root_or_gains_rights(compose):
    for name in ("backend", "worker", "worker-gpu"):
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    stages = (ROOT / "Dockerfile").read_text().split("FROM ")
    assert "USER 10001" in stages[2]
    assert "USER root" not in "".join(stages[2:])


def test_only_label_studio_and_grafana_are_reached_from_outside_and_only_from_this_machine(compose):
    open_ports = {
        name: service["ports"] for name, service in compose["services"].items() if "ports" in service
    }
    assert set(open_ports) == {"label-studio", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in open_ports.values() for port in ports)


def test_every_queue_has_a_worker_and_with_gpus_they_train_alone(compose):
    def taken(service: str, queues: str) -> set[str]:
        program, command, *options = compose["services"][service]["command"]
        assert (program, command) == ("yolo-mlsam", "work")
        return set(options[options.index("--queues") + 1].replace(default, queues).split(","))

    default = "${WORKER_QUEUES:-train,predict,light}"
    example = read(".env.example")
    assert "\nWORKER_QUEUES=train,predict,light\n" in example
    assert taken("worker", "train,predict,light") == set(QUEUES)
    assert "cuda, and light" in example
    gpu = taken("worker-gpu", "light")
    assert taken("worker", "light") | gpu == set(QUEUES)
    assert not taken("worker", "light") & gpu
    assert "deploy" not in compose["services"]["worker"]


def test_the_processor_only_image_takes_everything_of_the_lock_but_torch_and_cuda():
    kept = run("awk", "-f", "deploy/without_cuda.awk", "constraints/app.txt").stdout
    names = [
        re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE) for text in (kept, read("constraints/app.txt"))
    ]
    left_out = set(names[1]) - set(names[0])
    assert {"torch", "torchvision"} <= left_out
    assert all(re.match(r"(torch|torchvision|triton|nvidia-.*|cuda-.*)$", name) for name in left_out)
    hashed = re.findall(r"^[a-z0-9._-]+==.*\\\n    --hash=", kept, re.MULTILINE)
    assert len(hashed) == len(names[0])
    pins = run(
        "sed", "-n", r"s/^\(torch\(vision\)\{0,1\}==[^ ;]*\).*/\1/p", "constraints/app.txt"
    ).stdout.split()
    assert [pin.split("==")[0] for pin in pins] == ["torch", "torchvision"]


def test_alerts_and_dashboard_ask_only_for_metrics_that_there_are():
    told = Metrics().text(serving="m1").decode()
    families = {family.name for family in text_string_to_metric_families(told)}
    known = families | {
        f"{name}{suffix}" for name in families for suffix in ("_total", "_bucket", "_count", "_sum")
    }
    dashboard = read("deploy/monitoring/grafana/dashboards/yolo-mlsam.json")
    asked = set(re.findall(r"yolo_mlsam_\w+", read("deploy/monitoring/alerts.yml") + dashboard))
    assert asked
    assert asked <= known
    source = yaml.safe_load((MONITORING / "grafana/provisioning/datasources/prometheus.yml").read_text())
    (datasource,) = source["datasources"]
    assert {panel["datasource"]["uid"] for panel in json.loads(dashboard)["panels"]} == {datasource["uid"]}


def test_every_alert_says_what_to_do_and_is_in_the_operations_manual():
    (group,) = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    manual = read("docs/operations.md")
    for rule in group["rules"]:
        assert rule["annotations"]["summary"].endswith(".")
        assert f"`{rule['alert']}`" in manual, rule["alert"]


def read(path: str) -> str:
    return (ROOT / path).read_text()
