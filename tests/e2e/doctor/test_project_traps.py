"""Doctor against the real Label Studio: each known trap is really set, named with its remedy, and mended by --fix."""

from __future__ import annotations

import pytest

from cli.demo.processes import free_port
from cli.doctor.command import examine
from mammo.labelstudio import labeling_config
from mammo.labelstudio.project_connection import SECRET_HEADER, TITLE
from tests.backend.fakes import PASSWORD, SECRET
from tests.e2e.site import (
    Ward,
    change_hook,
    expect_fixed,
    hook_of,
    picture,
    serving,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def test_a_hook_without_the_secret(ward: Ward) -> None:
    change_hook(ward, headers={})
    expect_fixed(ward, "webhook", "carries no secret", "401")


def test_a_hook_with_another_secret(ward: Ward) -> None:
    change_hook(ward, headers={SECRET_HEADER: "old"})
    expect_fixed(ward, "webhook", "another secret")


def test_a_hook_that_is_deactivated(ward: Ward) -> None:
    change_hook(ward, is_active=False)
    expect_fixed(ward, "webhook", "is inactive")


def test_a_hook_whose_actions_a_patch_has_cleared(ward: Ward) -> None:
    hook = hook_of(ward)
    ward.client.call("PATCH", f"/api/webhooks/{hook['id']}/", json={"url": hook["url"]})
    expect_fixed(ward, "webhook", "does not send", "ANNOTATION_CREATED")


def test_no_hook(ward: Ward) -> None:
    ward.client.delete_webhook(hook_of(ward)["id"])
    expect_fixed(ward, "webhook", "no webhook")


def test_two_hooks(ward: Ward) -> None:
    row = {"project": ward.project, "url": f"{ward.url}/webhook", "send_for_all_actions": True}
    ward.client.call("POST", "/api/webhooks/", json=row)
    expect_fixed(ward, "two-webhooks", "2 webhooks", "more than once")


def test_a_hook_that_an_earlier_address_left_behind(ward: Ward) -> None:
    row = {"project": ward.project, "url": "http://127.0.0.1:9/webhook", "headers": {SECRET_HEADER: "x"}}
    ward.client.call("POST", "/api/webhooks/", json=row | {"send_for_all_actions": True})
    expect_fixed(ward, "stale-webhook", "a stale webhook")


def test_a_stale_backend_at_an_earlier_address(ward: Ward) -> None:
    """Both addresses answer; Label Studio asks only the older row."""
    port = free_port()
    (row,) = ward.client.backends(ward.project)
    with serving(ward.settings, port):
        ward.client.call("DELETE", f"/api/ml/{row['id']}")
        old = f"http://127.0.0.1:{port}"
        ward.client.connect_backend(
            ward.project, old, user="label-studio", password=PASSWORD, webhook_secret=SECRET
        )
    found = ward.broken()
    assert old in found["stale-backend"].says
    assert "ml-backend" in found
    expect_fixed(ward, "stale-backend", "only the first of a project")
    assert [each["url"] for each in ward.client.backends(ward.project)] == [ward.url]
    assert not [each for each in ward.client.webhooks(ward.project) if each["url"].startswith(old)]


def test_another_model_that_stands_before_ours(ward: Ward) -> None:
    (ours,) = ward.client.backends(ward.project)
    ward.client.call("DELETE", f"/api/ml/{ours['id']}")
    port = free_port()
    with serving(ward.settings, port):
        other = ward.client.connect_backend(
            ward.project,
            f"http://127.0.0.1:{port}",
            user="label-studio",
            password=PASSWORD,
            webhook_secret=SECRET,
            title="somebody's model",
        )
        ward.look().reconnect()
        found = ward.broken()
    assert "somebody's model" in found["ml-backend-order"].says
    assert "delete it" in found["ml-backend-order"].remedy
    ward.client.call("DELETE", f"/api/ml/{other.ml_backend}")
    ward.client.delete_webhook(other.webhook)


def test_a_backend_without_its_password_that_is_not_interactive(ward: Ward) -> None:
    (row,) = ward.client.backends(ward.project)
    ward.client.call("DELETE", f"/api/ml/{row['id']}")
    fields = {"url": ward.url, "title": TITLE, "project": ward.project, "is_interactive": False}
    with pytest.raises(Exception, match="answered 400"):  # Label Studio asks first, and gets our 401
        ward.client.call("POST", "/api/ml/", json=fields)
    secrets = {"basic_auth_user": "label-studio", "basic_auth_pass": PASSWORD, "auth_method": "BASIC_AUTH"}
    ward.client.call("POST", "/api/ml/", json=fields | secrets)
    expect_fixed(ward, "ml-backend", "not interactive")


def test_no_backend_at_all(ward: Ward) -> None:
    (row,) = ward.client.backends(ward.project)
    ward.client.call("DELETE", f"/api/ml/{row['id']}")
    expect_fixed(ward, "ml-backend", "no ML backend")


def test_a_backend_that_is_away(ward: Ward) -> None:
    found = ward.broken(url="http://127.0.0.1:9")
    assert "yolo-mlsam serve" in found["backend"].remedy


def test_version_strings_that_differ_and_a_title_where_the_version_should_be(ward: Ward) -> None:
    ward.client.update_project(ward.project, model_version=TITLE)
    expect_fixed(ward, "version", TITLE, "m1", "are outdated")
    assert ward.client.project(ward.project)["model_version"] == "m1"


def test_a_promotion_whose_predictions_are_not_there_yet_is_a_warning(ward: Ward) -> None:
    ward.backend.registry.version = "m2"
    ward.backend.host.look()
    try:
        found = {each.check: each for each in examine(ward.look())}
        assert found["version"].state == "warning"
        assert "prelabel-project" in found["version"].remedy
        ward.push("m2")
        expect_fixed(ward, "version", "annotators see m1", "serves m2")
    finally:
        ward.backend.registry.version = "m1"
        ward.backend.host.look()


def test_a_backend_that_cannot_load_the_champion(ward: Ward) -> None:
    ward.backend.registry.broken.add("m3")
    ward.backend.registry.version = "m3"
    ward.backend.host.look()
    try:
        assert "invalid_weights" in ward.broken()["backend"].says
    finally:
        ward.backend.registry.version = "m1"
        ward.backend.host.look()


def test_a_labeling_config_without_a_place_for_clusters(ward: Ward) -> None:
    label = '<Label value="Mass"/>'
    other = (
        f'<View><Image name="i" value="$image"/><BrushLabels name="b" toName="i">{label}</BrushLabels></View>'
    )
    ward.client.update_project(ward.project, label_config=other)
    try:
        assert "predicted_values" in ward.broken()["labeling-config"].line()
    finally:
        ward.client.update_project(ward.project, label_config=labeling_config())


def test_an_image_that_cannot_be_read_here(ward: Ward) -> None:
    files = ward.label_studio.files / f"unlisted-{ward.project}"
    files.mkdir(exist_ok=True)
    (files / "scan.png").write_bytes(picture())
    project = ward.client.create_project("images", labeling_config())
    ward.client.import_tasks(project, [{"image": f"/data/local-files/?d={files.name}/scan.png"}])
    assert "image_http_404" in ward.broken(project=project)["images"].says
    ward.client.add_local_storage(project, files.resolve())
    assert "images" not in ward.broken(project=project)
    other = ward.client.create_project("elsewhere", labeling_config())
    ward.client.import_tasks(other, [{"image": "https://images.example.org/a.png"}])
    assert "YOLO_MLSAM_IMAGE_HOSTS" in ward.broken(project=other)["images"].remedy
