"""Reconciling against the real Label Studio, through a store that no webhook reaches."""

from contextlib import closing
from datetime import datetime

import pytest

from mammo.annotations import AnnotationStore, reconcile
from mammo.labelstudio import LabelStudioClient
from mammo.labelstudio.labeling_config import labeling_config
from tests.e2e.edits import delete_annotation, update_annotation

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

BOX = {
    "type": "rectanglelabels",
    "from_name": "box",
    "to_name": "image",
    "original_width": 100,
    "original_height": 100,
    "value": {"x": 10, "y": 10, "width": 5, "height": 5, "rotation": 0, "rectanglelabels": ["cluster"]},
}


@pytest.fixture
def client(running_stack):
    stack = running_stack
    key = stack.settings.label_studio_api_key.get_secret_value()
    with closing(LabelStudioClient(stack.label_studio.url, key)) as made:
        yield made


@pytest.fixture
def project(client):
    made = client.create_project("Reconciling", labeling_config())
    yield made
    client.call("DELETE", f"/api/projects/{made}/")


@pytest.fixture
def look(project, client, engine):
    """Reconciles; returns (complete, tasks looked at, missing, stale, deleted)."""
    with closing(AnnotationStore(engine)) as store:

        def run(*, complete=False):
            found = reconcile(project, client=client, store=store, engine=engine, complete=complete)
            return found.complete, found.tasks, found.missing, found.stale, found.deleted

        run.view = lambda: {c.annotation_id: c.task_id for c in store.corrections(project)}
        yield run


def images(*names):
    return [{"image": f"/data/local-files/?d={name}.png"} for name in names]


def with_annotation(name):
    return {"data": images(name)[0], "annotations": [{"result": [BOX]}]}


def test_created_changed_deleted_and_imported_annotations_are_all_found(project, client, look):
    first, second, third = client.import_tasks(project, images("a", "b", "c"))
    kept, gone = client.annotate(first, [BOX]), client.annotate(second, [BOX])
    assert look() == (True, 3, 2, 0, 0)
    assert look() == (False, 3, 0, 0, 0)  # all changed within the overlap, none differs
    update_annotation(client, kept, [BOX, BOX])
    delete_annotation(client, gone)
    client.call("POST", f"/api/projects/{project}/import", json=[with_annotation("d")])
    assert look()[2:] == (1, 1, 1)
    view = look.view()
    assert view[kept] == first
    assert len(view) == 2
    client.call("DELETE", f"/api/tasks/{first}/")
    assert look()[2:] == (0, 0, 0)
    assert look(complete=True)[2:] == (0, 0, 1)
    assert kept not in look.view()
    assert third not in look.view().values()


def test_the_list_of_changed_tasks_leaves_out_what_did_not_change(project, client):
    first, second = client.import_tasks(project, images("a", "b"))
    client.annotate(second, [BOX])
    listed = {task["id"]: task for task in client.task_summaries(project)}
    assert list(listed) == [first, second]
    assert set(listed[second]) == {"id", "data", "updated_at", "annotations"}
    assert set(listed[second]["annotations"][0]) == {"id", "updated_at"}  # no content: it would be megabytes
    moment = datetime.fromisoformat(listed[second]["updated_at"])
    assert [task["id"] for task in client.task_summaries(project, since=moment)] == [second]


def test_label_studio_gives_the_id_of_a_deleted_annotation_again_and_the_store_knows_both(
    project, client, look
):
    first, second = client.import_tasks(project, images("a", "b"))
    kept, old = client.annotate(second, [BOX]), client.annotate(first, [BOX])
    assert look()[2:] == (2, 0, 0)
    delete_annotation(client, old)
    assert look()[2:] == (0, 0, 1)
    client.call("POST", f"/api/projects/{project}/import", json=[with_annotation("c")])
    ids = [each["id"] for task in client.task_summaries(project) for each in task["annotations"]]
    assert sorted(ids) == [kept, old]  # on SQLite: import numbers from the highest id that is left
    assert look()[2:] == (1, 0, 0)
    view = look.view()
    assert set(view) == {kept, old}
    assert view[old] not in (first, second)


@pytest.fixture
def hook(project, client, running_stack):
    """Connects the project; `wrong()` repairs and says what was wrong, `row()` is the webhook now."""
    settings = running_stack.settings
    secret = settings.webhook_secret.get_secret_value()
    password = settings.auth_password.get_secret_value()
    url = running_stack.backend_url
    client.connect_backend(project, url, user=settings.auth_user, password=password, webhook_secret=secret)

    class Hook:
        def row(self):
            (found,) = client.webhooks(project)
            return found

        def change(self, **fields):
            row = self.row()
            client.call("PATCH", f"/api/webhooks/{row['id']}/", json={"actions": row["actions"], **fields})

        def wrong(self):
            return client.repair_webhook(project, secret=secret)

    return Hook()


def test_a_webhook_that_is_deactivated_stripped_doubled_or_lost_is_found_and_repaired(project, client, hook):
    assert hook.wrong() == []
    right = hook.row()
    hook.change(is_active=False)
    assert hook.wrong() == ["deactivated"]
    hook.change(headers={})
    assert hook.wrong() == ["without secret"]
    hook.change(actions=["TASKS_CREATED"])
    assert hook.wrong() == ["other actions"]
    second = {"project": project, "url": right["url"], "send_for_all_actions": True}
    client.call("POST", "/api/webhooks/", json=second)
    assert hook.wrong() == ["duplicated"]
    assert hook.row() == right | {"updated_at": hook.row()["updated_at"]}
    client.delete_webhook(right["id"])
    assert hook.wrong() == ["missing"]
    assert hook.wrong() == []
