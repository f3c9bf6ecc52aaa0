"""Webhook bodies as Label Studio sends them."""

PROJECT = {"id": 1, "title": "x"}


def moment(second):
    return f"2026-11-23T05:17:{second:02d}.938304Z"


def annotation(number, task, *, second=0, cancelled=False, x=10, **fields):
    region = {"id": "r", "type": "rectanglelabels", "value": {"x": x, "y": 1.5, "width": 2, "height": 3}}
    return {
        "id": number,
        "task": task,
        "result": [region],
        "was_cancelled": cancelled,
        "updated_at": moment(second),
        "completed_by": 7,
        "lead_time": 3.25,
        "prediction": {},
        **fields,
    }


def task(number):
    return {"id": number, "data": {"image": f"/data/{number}.png", "patient": "p"}}


def written(number, on, *, action="ANNOTATION_CREATED", **fields):
    body = {
        "action": action,
        "annotation": annotation(number, on, **fields),
        "task": task(on),
        "project": PROJECT,
    }
    return action, body


def deleted(*numbers):
    return "ANNOTATIONS_DELETED", {"annotations": [{"id": n} for n in numbers], "project": PROJECT}


def tasks_deleted(*numbers):
    return "TASKS_DELETED", {"tasks": [{"id": n} for n in numbers], "project": PROJECT}
