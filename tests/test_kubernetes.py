"""The Kubernetes base is whole and valid by Kubernetes' own schemas; it ran on no cluster."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import sqlalchemy as sa
import yaml
from pydantic import SecretStr

from mammo.database import reading
from mammo.runs import Runs, claim, this_process
from mammo.runs.jobs import QUEUES, TRAIN, lists_of
from mammo.settings import PREFIX, Settings

FOLDER = Path(__file__).parent.parent / "deploy/kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
MANIFESTS = [
    manifest
    for name in KUSTOMIZATION["resources"]
    for manifest in yaml.safe_load_all((FOLDER / name).read_text())
]
OURS = [each for each in MANIFESTS if not each["apiVersion"].startswith("keda.sh")]


def kinds(*names):
    return [each for each in MANIFESTS if each["kind"] in names]


def pods():
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in kinds("Deployment", "StatefulSet")
    }


@pytest.mark.parametrize("manifest", OURS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_a_manifest_is_valid_by_the_schema_of_its_kind(manifest):
    kubernetes_validate.validate(manifest, "1.32", strict=True)


def test_a_wrong_field_would_be_noticed():
    wrong = {**OURS[0], "metadata": {"name": "x", "lables": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.32", strict=True)


def test_every_file_of_the_folder_is_in_the_kustomization_and_every_image_is_ours():
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert files == set(KUSTOMIZATION["resources"])
    used = {container["image"] for pod in pods().values() for container in pod["containers"]}
    assert used == {image["name"] for image in KUSTOMIZATION["images"]}


def test_every_setting_exists_and_no_secret_is_a_literal_or_a_variable():
    (settings,) = kinds("ConfigMap")
    named = {key.removeprefix(PREFIX).lower() for key in settings["data"]}
    assert named <= set(Settings.model_fields)
    secret = {name for name, field in Settings.model_fields.items() if field.annotation is SecretStr}
    assert "redis_url" in secret
    assert not named & {*secret, "database_url"}
    assert not kinds("Secret")
    for pod in pods().values():
        (container,) = pod["containers"]
        assert container["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
        assert "env" not in container
        (volume,) = [each for each in pod["volumes"] if "secret" in each]
        (mount,) = [each for each in container["volumeMounts"] if each["name"] == volume["name"]]
        assert mount == {**mount, "mountPath": settings["data"][f"{PREFIX}SECRETS_DIR"], "readOnly": True}


def test_the_manual_names_the_file_of_every_secret_and_puts_no_value_into_a_command():
    manual = (FOLDER / "README.md").read_text()
    assert "--from-literal" not in manual
    for name in ("database_url", "redis_url", "auth_password", "webhook_secret", "patient_secret"):
        assert f"yolo_mlsam_{name}" in manual
    for each in kinds("TriggerAuthentication"):
        for reference in each["spec"]["secretTargetRef"]:
            assert reference["name"] == "yolo-mlsam-scaling"
            assert reference["key"] in manual
    assert yaml.safe_load((FOLDER / "monitoring/service-monitor.yaml").read_text())["spec"]["endpoints"][0][
        "authorization"
    ] == {"type": "Bearer", "credentials": {"name": "yolo-mlsam-monitoring", "key": "prometheus_key"}}


def test_a_pod_reaches_what_the_settings_name_and_nothing_else():
    policies = {each["metadata"]["name"]: each["spec"] for each in kinds("NetworkPolicy")}
    assert policies["nothing-else"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    reached = {
        (peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], port["port"])
        for rule in policies["outgoing"]["egress"]
        for peer in rule["to"]
        for port in rule["ports"]
    }
    (settings,) = kinds("ConfigMap")
    addresses = [urlsplit(value) for value in settings["data"].values() if value.startswith("http")]
    assert {(each.hostname.split(".")[1], each.port) for each in addresses} <= reached
    assert reached - {("kube-system", 53)} == {
        ("label-studio", 8080),
        ("storage", 9000),
        ("storage", 5432),
        ("storage", 6379),
    }
    (selector,) = policies["outgoing"]["podSelector"]["matchExpressions"]
    assert set(selector["values"]) == set(pods())
    assert set(policies) == {"nothing-else", "backend", "outgoing"}


def test_no_pod_is_root_writes_its_root_or_holds_the_clusters_token():
    for pod in pods().values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]


def test_every_queue_is_one_kind_of_pods_and_a_gpu_is_one_workers():
    def options(pod: str) -> dict[str, str]:
        program, command, *words = pods()[pod]["containers"][0]["args"]
        assert (program, command) == ("yolo-mlsam", "work")
        return dict(zip(words[::2], words[1::2], strict=True))

    assert options("worker") == {"--queues": "train", "--gpus": "auto"}
    assert options("predict") == {"--queues": "predict,light", "--gpus": "none"}
    assert {queue for pod in ("worker", "predict") for queue in options(pod)["--queues"].split(",")} == set(
        QUEUES
    )
    assert pods()["worker"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_a_pod_for_predictions_is_always_there():
    """KEDA stops the last worker of trainings only."""
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in kinds("ScaledObject")}
    (predict,) = [each for each in kinds("Deployment") if each["metadata"]["name"] == "predict"]
    assert predict["spec"]["replicas"] >= 1
    assert "predict" not in scaled


def test_scaling_watches_the_queue_of_trainings_and_the_worker_that_takes_them():
    (scaled,) = kinds("ScaledObject")
    triggers = scaled["spec"]["triggers"]
    watched = {each["metadata"]["listName"] for each in triggers if each["type"] == "redis"}
    assert watched == {f"rq:queue:{name}" for name in lists_of([TRAIN])}
    target = scaled["spec"]["scaleTargetRef"]
    assert any(
        (each["kind"], each["metadata"]["name"]) == (target["kind"], target["name"]) for each in MANIFESTS
    )
    known = {each["metadata"]["name"] for each in kinds("TriggerAuthentication")}
    assert {each["authenticationRef"]["name"] for each in triggers} == known


def test_a_run_that_has_begun_keeps_its_worker_and_one_that_rests_wakes_none(postgres):
    (scaled,) = kinds("ScaledObject")
    (query,) = [
        each["metadata"]["query"] for each in scaled["spec"]["triggers"] if each["type"] == "postgresql"
    ]

    def wanted():
        with reading(postgres) as connection:
            return connection.scalar(sa.text(query))

    runs = Runs(postgres)
    assert wanted() == 0
    first = runs.request(1, recipe="smoke", reason="a test", trigger="cli").run
    assert claim(runs, first, owner=this_process()) is not None
    assert wanted() == 1
    tonight = datetime.now(UTC) + timedelta(hours=8)
    runs.request(2, recipe="smoke", reason="a test", trigger="schedule", not_before=tonight)
    assert wanted() == 1
    runs.cancel(first, reason="a test")
    assert wanted() == 0
