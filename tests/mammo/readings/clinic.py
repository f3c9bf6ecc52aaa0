"""A Label Studio in memory with two readers and an arbiter, whose process can be killed at any change."""

from datetime import UTC, datetime, timedelta

from mammo.annotations import AnnotationStore, reconcile
from mammo.errors import LabelStudioError
from mammo.geometry import Size
from mammo.labelstudio.labeling_config import ControlTags, labeling_config
from mammo.labelstudio.rendering import truth_regions
from mammo.readings import ReadingRecords, ReadingRules, ReadingService
from mammo.readings.projects import CASE_KEY

SIZE = Size(96, 80)
START = datetime(2026, 11, 23, 8, tzinfo=UTC)
PEOPLE = {"reader-1": "one@example.org", "reader-2": "two@example.org", "arbiter": "three@example.org"}


class Killed(Exception):
    """The process was killed here."""


class Site:
    """In-memory Label Studio server. `kill_at` is the change at which the process is killed, after or before it."""

    def __init__(self):
        self.rows = {}
        self.by_id = {}
        self.next = 1
        self.time = START
        self.changes = 0
        self.kill_at = None
        self.kill_after = False

    def change(self, do):
        """Make one change on the server; the process may be killed before or after it."""
        self.changes += 1
        last = self.changes == self.kill_at
        if last and not self.kill_after:
            raise Killed
        result = do()
        if last:
            raise Killed
        return result

    def number(self):
        self.next += 1
        return self.next - 1

    def clock(self):
        self.time += timedelta(seconds=1)
        return self.time

    # Projects

    def create_project(self, title, config, **fields):
        def do():
            project = self.number()
            self.rows[project] = {
                "id": project,
                "title": title,
                "label_config": config,
                "model_version": "",
                **fields,
            }
            return project

        return self.change(do)

    def find_project(self, title):
        return min((n for n, row in self.rows.items() if row["title"] == title), default=None)

    def project(self, project):
        if project not in self.rows:
            raise LabelStudioError("no such project", code="label_studio_404")
        return self.rows[project]

    def update_project(self, project, **fields):
        if "model_version" in fields:
            shown = {p["model_version"] for t in self.tasks(project) for p in t["predictions"]}
            assert fields["model_version"] in shown, "Label Studio answers 400"
        self.change(lambda: self.rows[project].update(fields))

    def users(self):
        return [{"id": 10 + n, "email": email} for n, email in enumerate(PEOPLE.values())]

    # Tasks

    def import_tasks(self, project, tasks, *, predictions=()):
        def do():
            shown = predictions or [[] for _ in tasks]
            created = [self._task(project, *row) for row in zip(tasks, shown, strict=True)]
            versions = [p["model_version"] for row in shown for p in row]
            if versions and not self.rows[project]["model_version"]:
                self.rows[project]["model_version"] = versions[-1]
            return created

        return self.change(do)

    def _task(self, project, data, predictions=()):
        number = self.number()
        row = {"id": number, "data": dict(data), "predictions": list(predictions), "project": project}
        self.by_id[number] = row | {"annotations": {}, "drafts": [], "updated_at": self.clock()}
        return number

    def tasks(self, project):
        return [task for task in self.by_id.values() if task["project"] == project]

    def delete_task(self, task):
        self.change(lambda: self.by_id.pop(task))

    def drafts(self, task):
        return self.by_id[task]["drafts"]

    def annotations(self, task):
        if task not in self.by_id:
            raise LabelStudioError("no such task", code="label_studio_404")
        return list(self.by_id[task]["annotations"].values())

    def task_summaries(self, project, *, since=None):
        for task in self.tasks(project):
            listed = [{k: a[k] for k in ("id", "updated_at")} for a in task["annotations"].values()]
            shown = {"id": task["id"], "data": task["data"], "updated_at": task["updated_at"].isoformat()}
            yield shown | {"annotations": listed}

    # People

    def annotate(self, task, findings, *, user):
        """Submit or update a person's annotation; returns its id."""
        row, moment = self.by_id[task], self.clock()
        mine = [n for n, a in row["annotations"].items() if a["completed_by"] == user]
        number = mine[0] if mine else self.number()
        row["annotations"][number] = {
            "id": number,
            "result": truth_regions(findings, size=SIZE, tags=ControlTags(), source="hand"),
            "was_cancelled": False,
            "updated_at": moment.isoformat(),
            "completed_by": user,
            "lead_time": 30.0,
        }
        row["updated_at"] = moment
        return number


class Clinic:
    """A source project with some images, its reading service, two readers and an arbiter."""

    def __init__(self, engine, folder, *, images=3, **rules):
        self.site = Site()
        self.engine = engine
        self.store = AnnotationStore(engine)
        self.rules = ReadingRules(**rules)
        self.source = self.site.create_project("Mammograms", labeling_config())
        self.cases = [
            self.site._task(self.source, {"image": f"{n}.png", "patient": f"p{n}", "spacing_mm": 0.1})
            for n in range(images)
        ]
        self.service = ReadingService(
            client=self.site,
            store=self.store,
            records=ReadingRecords(engine),
            reconcile=lambda project: (
                reconcile(project, client=self.site, store=self.store, engine=engine, complete=True).repaired
            ),
            secret=b"key",
            lock=folder / "lock",
        )

    def create(self):
        return self.service.create(self.source, rules=self.rules, emails=PEOPLE)

    def task(self, role, case, number=1):
        """Return the task of a case in the project of a role and round."""
        project = self.service.records.find(self.source).project(role, number).id
        (task,) = [t for t in self.site.tasks(project) if t["data"].get(CASE_KEY) == f"{self.source}/{case}"]
        return task["id"]

    def read(self, role, case, findings, number=1, user=None):
        """Submit a reading of a case; returns the annotation's id."""
        user = user or 10 + list(PEOPLE).index(role)
        return self.site.annotate(self.task(role, case, number), findings, user=user)

    def both_read(self, case, first, second, number=1):
        return self.read("reader-1", case, first, number), self.read("reader-2", case, second, number)

    def outcome(self, case):
        return self.state(case).outcome

    def state(self, case):
        (state,) = [each for each in self.service.cases(self.source).cases if each.id == case]
        return state

    def task_titles(self):
        """Return (project title, case) of every created task, sorted; a duplicate task is listed twice."""
        titles = [
            (self.site.rows[task["project"]]["title"], task["data"][CASE_KEY])
            for task in self.site.by_id.values()
            if CASE_KEY in task["data"]
        ]
        return sorted(titles)
