"""The deployment files are valid by their schemas and agree with the code; no engine ran them here."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from starlette.datastructures import Headers

from backend.credentials import has_key
from backend.metrics import Metrics
from mammo.exchange.task_data import TWINS
from mammo.runs.jobs import QUEUES
from mammo.settings import PREFIX, Settings

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


def test_every_variable_of_compose_has_a_default_or_is_asked_for_and_is_in_the_example():
    text = COMPOSE.read_text()
    variables = dict(re.findall(r"\$\{([A-Z_0-9]+)(:[-?][^}]*)?\}", text))
    assert {name for name, default in variables.items() if default.startswith(":?")} == {
        "MAMMOGRAMS",
        "TWINS",
    }
    assert all(variables.values())
    example = set(re.findall(r"^([A-Z_0-9]+)=", read(".env.example"), re.MULTILINE))
    assert example <= set(variables)
    assert set(variables) - example == {f"{name}_PORT" for name in PORTS}


PORTS = ("LABEL_STUDIO", "GRAFANA", "HTTPS", "HTTP", "BACKEND_HTTPS")


def test_every_name_that_a_service_refers_to_is_defined_and_every_file_is_there(compose):
    services = compose["services"]
    for name, service in services.items():
        for kind in ("networks", "secrets", "configs"):
            used = {each["source"] if isinstance(each, dict) else each for each in service.get(kind, ())}
            assert used <= set(compose[kind]), (name, kind)
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or source[0] in ".$", (name, volume)
            assert source[0] != "." or (ROOT / source).is_dir()
        assert set(service.get("depends_on", ())) <= set(services), name
        for other in service.get("depends_on", ()):
            assert "healthcheck" in services[other], f"{name} waits until {other} is well"
    assert all((ROOT / each["file"]).is_file() for each in compose["configs"].values())
    assert set().union(*map(secrets_of, services.values())) == set(compose["secrets"])


def secrets_of(service: dict[str, object]) -> set[str]:
    return {each["source"] if isinstance(each, dict) else each for each in service.get("secrets", ())}


def test_every_service_is_limited_hardened_watched_and_its_log_is_rotated(compose):
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("user", "1").startswith(("0", "root")), name
        assert service["mem_limit"], name
        assert service["pids_limit"] <= 4096, name
        assert service["restart"] == ("no" if name in ("admin", "pacs") else "unless-stopped"), name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        assert "healthcheck" in service or name in ("backend", "worker", "worker-gpu"), name
    stages = read("Dockerfile").split("FROM ")
    assert "USER 10001" in stages[2]
    assert "USER root" not in "".join(stages[2:])
    assert "HEALTHCHECK" in stages[3]
    assert "HEALTHCHECK" in stages[4]


def test_no_secret_is_a_literal_a_variable_or_an_argument(compose):
    secret = {
        f"{PREFIX}{name.upper()}" for name, field in Settings.model_fields.items() if is_secret(name, field)
    }
    for name, service in compose["services"].items():
        for key, value in service.get("environment", {}).items():
            assert key not in secret, name
            if re.search("PASSWORD|TOKEN|SECRET|KEY", key) and not key.endswith("_DIR"):
                assert key.endswith(("PASSWORD_FILE", "PASSWORD__FILE")) or key.endswith(
                    "LEGACY_API_TOKEN"
                ), (name, key)
                assert value.startswith("/run/secrets/") or value == "true", (name, key)
        words = [*service.get("command", ()), *service.get("entrypoint", ())]
        assert not [each for each in words if re.search("requirepass|password|token", each, re.IGNORECASE)], (
            name
        )
    # Compose gives the content of a variable to no service whose file system is read-only.
    assert all(set(each) == {"file"} for each in compose["secrets"].values())
    assert {each["file"] for each in compose["secrets"].values()} == {
        f"secrets/{name}" for name in compose["secrets"]
    }


def is_secret(name: str, field: object) -> bool:
    return getattr(field, "annotation", None) is SecretStr or name in ("database_url", "s3_access_key")


def test_each_service_gets_the_secrets_that_it_needs_and_no_others(compose):
    given = {name: secrets_of(service) for name, service in compose["services"].items()}
    ours = {each for each in compose["secrets"] if each.startswith("yolo_mlsam_")} - {
        "yolo_mlsam_pacs_password"
    }
    assert given["backend"] == ours
    assert given["worker"] == given["worker-gpu"] == given["admin"] == ours - {"yolo_mlsam_api_keys"}
    assert given["pacs"] == given["admin"] | {"yolo_mlsam_pacs_password"}
    assert given["orthanc"] == {"orthanc_users.json"}
    assert given["prometheus"] == {"prometheus_key"}
    assert given["label-studio"] == {"label_studio.env"}
    assert not given["proxy"]


def test_only_the_web_servers_are_reached_from_outside_and_without_tls_only_from_this_machine(compose):
    services = compose["services"]
    assert {name for name, service in services.items() if "ports" in service} == {"proxy", "proxy-tls"}
    assert all(port.startswith("127.0.0.1:") for port in services["proxy"]["ports"])
    assert services["proxy-tls"]["profiles"] == ["tls"]
    outside = {name for name, network in compose["networks"].items() if not (network or {}).get("internal")}
    assert outside == {"outside"}
    assert {name for name, each in services.items() if "outside" in each["networks"]} == {
        "proxy",
        "proxy-tls",
    }


def test_each_service_reaches_those_that_it_needs_and_no_others(compose):
    members = {name: set(service["networks"]) for name, service in compose["services"].items()}

    def reached(name: str) -> set[str]:
        return {other for other, networks in members.items() if other != name and networks & members[name]}

    web = {"proxy", "proxy-tls"}
    workers = {"worker", "worker-gpu", "admin", "pacs"}
    assert reached("worker") - workers - web == {"label-studio", "backend", "postgres", "valkey"}
    assert reached("backend") - workers - web == {
        "label-studio",
        "postgres",
        "valkey",
        "prometheus",
        "grafana",
    }
    assert reached("label-studio") - workers - web == {"backend", "postgres"}
    assert reached("valkey") == {"backend", *workers}
    assert reached("postgres") == {"backend", "label-studio", *workers}
    assert reached("orthanc") == {"pacs"}
    assert reached("prometheus") - web == {"backend", "grafana"}


def test_the_web_servers_lead_to_services_and_ports_that_there_are(compose):
    targets = {"label-studio": 8080, "backend": 9090, "grafana": 3000}
    for name, file in (("proxy", "plain.conf"), ("proxy-tls", "tls.conf")):
        service = compose["services"][name]
        assert f"/etc/yolo-mlsam/{file}" in service["entrypoint"]
        text = "".join(read(f"deploy/nginx/{each}") for each in (file, "label-studio.conf"))
        for upstream, port in re.findall(r"set \$\w+ ([\w-]+):(\d+);", text):
            assert targets[upstream] == int(port)
            assert set(service["networks"]) & set(compose["services"][upstream]["networks"])
        listened = set(re.findall(r"listen (\d+)", text))
        assert listened == {port.rsplit(":", 1)[1] for port in service["ports"]}
        for secret in re.findall(r"/run/secrets/(\w+)", text):
            assert secret in service["secrets"]
    assert f"\nEXPOSE {targets['backend']}\n" in read("Dockerfile")


def test_commands_write_twins_where_label_studio_reads_them(compose):
    def mounts(name: str) -> dict[str, str]:
        volumes = [re.sub(r"\$\{(\w+)[^}]*\}", r"\1", each) for each in compose["services"][name]["volumes"]]
        return {each.split(":")[0]: each.partition(":")[2] for each in volumes}

    assert mounts("admin")["TWINS"] == f"/label-studio/{TWINS}"
    served = compose["services"]["label-studio"]["environment"]["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"]
    assert mounts("label-studio")["TWINS"] == f"{served}/{TWINS}:ro"
    for name in ("admin", "backend", "worker"):
        assert mounts(name)["MAMMOGRAMS"] == "/mammograms:ro"
    assert compose["services"]["admin"]["entrypoint"] == ["yolo-mlsam"]


def test_the_file_for_the_pacs_on_the_console_fits_the_one_that_it_is_added_to(compose):
    file = ROOT / "deploy/pacs-console.yml"
    checked = run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", file)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for name, added in yaml.safe_load(file.read_text())["services"].items():
        assert name in compose["services"]
        given = {key.removeprefix(PREFIX).lower() for key in added["environment"]}
        assert given <= set(Settings.model_fields)
        assert set(added["networks"]) <= set(compose["networks"])
        assert secrets_of(added) <= set(compose["secrets"])
        pacs = compose["services"]["pacs"]
        assert set(added.get("volumes", ())) <= set(pacs["volumes"]), "as the commands have them"


def test_prometheus_asks_with_the_key_whose_digest_the_backend_is_given(compose, tmp_path, monkeypatch):
    assert run(sys.executable, "deploy/make_env.py", tmp_path).returncode == 0
    (job,) = yaml.safe_load((MONITORING / "prometheus.yml").read_text())["scrape_configs"]
    place = Path(job["authorization"]["credentials_file"])
    assert place.parent == Path("/run/secrets")
    assert place.name in compose["services"]["prometheus"]["secrets"]
    monkeypatch.setenv(f"{PREFIX}SECRETS_DIR", str(tmp_path / "secrets"))
    key = (tmp_path / "secrets" / place.name).read_text()
    headers = Headers({"Authorization": f"{job['authorization']['type']} {key}"})
    assert has_key(headers, Settings.load())
    (target,) = job["static_configs"][0]["targets"]
    assert target == "backend:9090"


def test_every_queue_has_a_worker_and_with_gpus_they_train_alone(compose):
    def taken(service: str, queues: str) -> set[str]:
        program, command, *options = compose["services"][service]["command"]
        assert (program, command) == ("yolo-mlsam", "work")
        return set(options[options.index("--queues") + 1].replace(default, queues).split(","))

    default = "${WORKER_QUEUES:-train,predict,light}"
    example = read(".env.example")
    assert "\nWORKER_QUEUES=train,predict,light\n" in example
    assert taken("worker", "train,predict,light") == set(QUEUES)
    assert "with the profile gpu: light" in example
    gpu = taken("worker-gpu", "light")
    assert taken("worker", "light") | gpu == set(QUEUES)
    assert not taken("worker", "light") & gpu
    assert "deploy" not in compose["services"]["worker"]


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
