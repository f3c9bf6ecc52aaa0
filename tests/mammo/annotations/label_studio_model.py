"""A model of Label Studio: its state, the webhooks it sends, and the ids that it gives twice."""

from datetime import UTC, datetime, timedelta

from mammo.errors import LabelStudioError

START = datetime(2026, 11, 23, 5, tzinfo=UTC)


class LabelStudioModel:
    """Every operation takes a second, and returns the webhook that tells of it (or None: imports tell nothing)."""

    def __init__(self, project=1):
        self.project = project
        self.tasks = {}
        self.time = START
        self.listings = 0
        self.fetched = []

    def clock(self):
        self.time += timedelta(seconds=1)
        return self.time

    # What people do

    def add_task(self):
        number = max(self.tasks, default=0) + 1  # as its import does on SQLite
        self.tasks[number] = {"updated_at": self.clock(), "annotations": {}}
        return number

    def annotate(self, task, x, *, cancelled=False):
        number = max((n for t in self.tasks.values() for n in t["annotations"]), default=0) + 1
        return self._write(task, number, x, cancelled, "ANNOTATION_CREATED")

    def change(self, task, number, x, *, cancelled=False):
        return self._write(task, number, x, cancelled, "ANNOTATION_UPDATED")

    def delete(self, task, number):
        del self.tasks[task]["annotations"][number]
        self.tasks[task]["updated_at"] = self.clock()
        return "ANNOTATIONS_DELETED", {"annotations": [{"id": number}], "project": {"id": self.project}}

    def delete_task(self, task):
        del self.tasks[task]
        self.clock()
        return "TASKS_DELETED", {"tasks": [{"id": task}], "project": {"id": self.project}}

    def _write(self, task, number, x, cancelled, action):
        moment = self.clock()
        annotation = {
            "id": number,
            "task": task,
            "result": [{"id": "r", "value": {"x": x}}],
            "was_cancelled": cancelled,
            "updated_at": moment.isoformat(),
            "completed_by": 7,
        }
        self.tasks[task]["annotations"][number] = annotation
        self.tasks[task]["updated_at"] = moment
        body = {
            "annotation": dict(annotation),
            "task": {"id": task, "data": self._data(task)},
            "action": action,
        }
        return action, {**body, "project": {"id": self.project}}

    # What its API says

    def task_summaries(self, project, *, since=None):
        assert project == self.project
        self.listings += 1
        for number, task in sorted(self.tasks.items()):
            if since is None or task["updated_at"] >= since:
                listed = [{k: a[k] for k in ("id", "updated_at")} for a in task["annotations"].values()]
                yield {
                    "id": number,
                    "data": self._data(number),
                    "updated_at": task["updated_at"].isoformat(),
                    "annotations": listed,
                }

    def annotations(self, task):
        self.fetched.append(task)
        if task not in self.tasks:
            raise LabelStudioError("no such task", code="label_studio_404")
        return [dict(annotation) for annotation in self.tasks[task]["annotations"].values()]

    def truth(self):
        """(annotation, task, x) of what is annotated now."""
        return sorted(
            (annotation["id"], number, annotation["result"][0]["value"]["x"])
            for number, task in self.tasks.items()
            for annotation in task["annotations"].values()
            if not annotation["was_cancelled"]
        )

    @staticmethod
    def _data(task):
        return {"image": f"{task}.png"}
