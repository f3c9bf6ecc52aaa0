"""Jobs of the PACS: an import that somebody asked for, and the results of a project."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from mammo.errors import Cancelled, MammoError, UnknownImport
from mammo.exchange.export.labelled_image import LabelledImage, Refusal
from mammo.exchange.importing import Rules
from mammo.pacs.importer import MAX_LISTED, Imported
from mammo.result_kinds import ResultKind
from mammo.site import Site

Report = Callable[[str, float, str], None]


def import_from_pacs(project: int, number: int, *, site: Site, report: Report) -> dict[str, Any]:
    """Import what a row of `mammo.pacs.import_log` names; it records how that ended.

    An import that a person stopped ends between two images, and is no failure: it can be continued.

    Args:
        report: called with stage, progress in [0, 1] and message; may raise to stop.

    Returns:
        See `Imported.to_json`.

    Raises:
        InvalidSettings: PACS, folders or the secret are not set on this host.
        PacsError: the PACS cannot be asked; what had arrived of whole studies is imported all the same.
        LabelStudioError: Label Studio does not answer or refuses.
        UnknownImport: there is no such import into the project.
    """
    imports, imported = site.pacs_imports, Imported()
    found, problem = imports.get(number), None
    if found.project != project:  # anybody who can write into Redis may have made the job
        raise UnknownImport(f"import {number} from the PACS is not one into project {project}")
    if found.state == "stopped":
        return imported.to_json()
    imports.reopen(number)  # an attempt whose worker ended has ended it

    def watched(stage: str, progress: float, message: str) -> None:
        if imports.get(number).state == "stopped":
            raise Cancelled(f"import {number} from the PACS was stopped")
        report(stage, progress, message)

    try:
        watched("searching", 0.0, "asking the PACS")
        order = imports.order(number)
        rules = Rules(convert_for_processing=not order.query.only_for_presentation)
        importer = site.pacs_importer(site.import_target(project, rules=rules))
        importer.run(order, actor=found.actor, imported=imported, progress=partial(_counted, watched))
    except Cancelled:
        return imported.to_json()
    except MammoError as error:
        problem = str(error)
        raise
    except BaseException as error:  # also a stop of the worker
        problem = f"it was ended by {type(error).__name__}; see the worker's log, and continue it"
        raise
    else:
        return imported.to_json()
    finally:
        imports.ended(number, outcome=imported.to_json(), problem=problem)


def send_results(project: int, kind: ResultKind, *, actor: str, site: Site, report: Report) -> dict[str, Any]:
    """Put what is new of a project's annotations into the outbox, and send what is due to the PACS.

    Args:
        actor: who asked for it.
        report: called with stage, progress in [0, 1] and message; may raise to stop.

    Returns:
        The number of results that are `new` and `unchanged`, of images `refused` with the first `reasons`, of results
        `delivered` to the PACS, and of those that still `wait`.

    Raises:
        InvalidSettings: no PACS is set on this host.
        LabelStudioError: Label Studio does not answer or refuses.
    """
    results, refusals = site.pacs_results, list[Refusal]()
    results.pacs()  # refuses before anything is read

    def images() -> Iterator[LabelledImage]:
        for number, item in enumerate(site.labelled_images(project), 1):
            report("writing", 0.0, f"image {number}")
            if isinstance(item, Refusal):
                refusals.append(item)
            else:
                yield item

    queued = results.queue(images(), kind, actor=actor)
    report("sending", 0.9, f"{queued.num_new} results are new or changed")
    sent = results.send()
    reasons = [str(each) for each in (*refusals, *queued.refusals)]
    return {
        "new": queued.num_new,
        "unchanged": queued.num_unchanged,
        "refused": len(reasons),
        "reasons": [*reasons[:MAX_LISTED], *list(dict.fromkeys(sent.problems))[:MAX_LISTED]],
        "delivered": sent.num_delivered,
        "wait": results.outbox.counts().get("waiting", 0),
    }


def _counted(report: Report, stage: str, finished: Iterable[Any], total: int) -> Iterator[Any]:
    """Yield what is finished, and report how many; retrieving is the first half of an import."""
    begin = 0.5 if stage == "Importing" else 0.0
    for number, each in enumerate(finished, 1):
        yield each
        report(stage.lower(), begin + 0.5 * number / total, f"{number} of {total} images")
