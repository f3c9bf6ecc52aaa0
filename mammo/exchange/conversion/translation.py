"""Translation: the results of an annotation of one image, written for one view of an exam.

A region keeps its shape if the view has a control of its kind. Otherwise the finding that it means is drawn exactly,
with the control that there is. Either way the result is read back, and must mean the same findings.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

from mammo.errors import InvalidRegion
from mammo.exam_views import EXAM_VIEWS, ExamView
from mammo.findings import Finding
from mammo.labelstudio.cluster_regions import checked, regions_of
from mammo.labelstudio.config_controls import COMMENT, OF_FINDINGS
from mammo.labelstudio.config_xml import is_true, labels_of, parse_config, targets
from mammo.labelstudio.interpretation import Interpretation, interpret
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.region_meta import meta_value, predicted_finding
from mammo.labelstudio.regions import Region, size_of
from mammo.labelstudio.relations import SAME_LESION
from mammo.labelstudio.rendering import truth_regions

SHAPE = {
    "brushlabels": "brush",
    "rectanglelabels": "rectangle",
    "polygonlabels": "polygon",
    "keypointlabels": "keypoint",
}
"""Type of a region -> the field of `ControlTags` with the control that draws it."""

VALUES = frozenset({"rating", "number", "textarea", "datetime"})
"""Types of results whose values a control of the same type can always hold."""

OF_A_PERSON = ("box", "pixels", "only_box")
"""Keys of the `meta` of a person's region that was drawn again: they keep its box."""


class Translation:
    """Writes results of a project of one-image tasks for the views of another project."""

    def __init__(self, old: str, new: str, *, leave_out: Iterable[str] = ()) -> None:
        """
        Args:
            old: labeling config of one-image tasks.
            new: labeling config of exams.
            leave_out: controls of the old config whose results are not wanted.

        Raises:
            InvalidRegion: one of the configs is of another kind (code `labeling_config`).
        """
        self.old = ControlTags.read(old)
        if not self.old.is_only_image:
            raise InvalidRegion(
                "expected a project whose tasks show one image, got one whose tasks show several",
                code="labeling_config",
            )
        tags = ControlTags.read(new)
        images = {each.value: each for each in (tags, *tags.siblings)}
        if missing := [view.key for view in EXAM_VIEWS if view.key not in images]:
            raise InvalidRegion(
                f"expected a labeling config with controls for clusters on all views of an exam; it has none for "
                f"{', '.join(missing)}",
                code="labeling_config",
            )
        self.views = {view: images[view.key] for view in EXAM_VIEWS}
        self._controls = {str(tag.get("name")): tag for tag in parse_config(new).iter() if tag.get("name")}
        self._leave_out = frozenset(leave_out)

    def __call__(
        self, result: Iterable[Mapping[str, Any]], view: ExamView, *, redraw: bool = True
    ) -> list[Region]:
        """Return the results of one image for a view. Ids begin with the view's name, which makes them unique.

        Args:
            result: of an annotation or a prediction.
            view: of the exam.
            redraw: draw findings for whose regions the view has no control; otherwise such regions are refused.

        Raises:
            InvalidRegion: the new config cannot hold a result, or a region cannot be interpreted.
        """
        results = [checked(each) for each in result]
        before = interpret(results, tags=self.old)
        drawn = regions_of(results, self.old)
        tags = self.views[view]
        kept = all(self._control(each, tags) for each in drawn)
        if not kept and not redraw:
            raise InvalidRegion(f"the view {view.name} has no control for a region", code="no_tool")
        regions = (
            [self._renamed(each, view) for each in drawn]
            if kept
            else self._redrawn(before.findings, drawn, view)
        )
        shapes = {each["id"]: each for each in regions if each["type"] in SHAPE}
        cluster_ids = {str(each.get("id")) for each in drawn}
        others = [
            self._other(each, view, shapes, of_cluster=str(each.get("id")) in cluster_ids)
            for each in results
            if not any(each is region for region in drawn)
            and not self._says_nothing(each, before, cluster_ids=cluster_ids, kept=kept)
        ]
        translated = [*regions, *others]
        _require_same(before.findings, interpret(translated, tags=tags).findings)
        return translated

    def _control(self, region: Mapping[str, Any], tags: ControlTags) -> str | None:
        """Return the view's control for regions of this kind."""
        field = SHAPE.get(str(region.get("type")))
        control: str | None = getattr(tags, field) if field else None
        return control

    def _renamed(self, region: Mapping[str, Any], view: ExamView) -> Region:
        """Return a region as the view's control of its kind would draw it."""
        tags, kind = self.views[view], str(region["type"])
        control = self._control(region, tags)
        renamed = _prefixed(region, view) | {"from_name": control, "to_name": tags.image}
        value = {key: each for key, each in dict(region["value"]).items() if key != "labels"}
        return renamed | {"value": value | {kind: [tags.label_of(control)]}}

    def _redrawn(
        self, findings: Sequence[Finding], drawn: Sequence[Mapping[str, Any]], view: ExamView
    ) -> list[Region]:
        """Return exact regions of findings, with what their regions said about model and score."""
        tags = self.views[view]
        originals = {_prefix(view, each.get("id")): each for each in drawn}
        named = _with_ids(findings, view)
        regions = truth_regions(named, size=size_of(drawn[0]), tags=tags, source="")
        scores = {each.id: each.score for each in named}
        for region in regions:
            if region["type"] not in SHAPE:
                continue
            original = originals.get(region["id"], {})
            meta = region.get("meta", {})
            if original and predicted_finding(original):
                meta = meta | {"model_version": meta_value(original, "model_version") or ""}
            else:
                meta = {key: value for key, value in meta.items() if key in OF_A_PERSON}
            if text := meta_value(original, "text"):
                meta = meta | {"text": text}
            region["meta"] = meta
            if "score" not in original and scores[region["id"]] == 1.0:
                region.pop("score", None)
            if "origin" in original:
                region["origin"] = original["origin"]
        return regions

    def _says_nothing(
        self, result: Mapping[str, Any], before: Interpretation, *, cluster_ids: set[str], kept: bool
    ) -> bool:
        """Whether a result need not be moved, because it is no statement of a person, or is moved with its region.

        Raises:
            InvalidRegion: the choice about the image contradicts the findings.
        """
        old, control = self.old, result.get("from_name")
        if control in old.prompts or (control is not None and control == old.note):
            return True
        if control in self._leave_out or (result.get("type") == "relation" and "relation" in self._leave_out):
            return True
        if str(result.get("id")) in cluster_ids:
            if result.get("type") == "labels":
                return True
            redrawn = {getattr(old, name) for name in (*OF_FINDINGS, COMMENT)} - {None}
            if not kept and control in redrawn:
                return True
        if control is None or control != old.choices:
            return False
        chosen = dict(result.get("value") or {}).get("choices")
        expected = old.choice_found if before.findings else old.choice_nothing
        if chosen not in ([expected], [], None):
            raise InvalidRegion(
                f"its choice {chosen} contradicts its {len(before.findings)} findings; correct one of them"
            )
        return True

    def _other(
        self,
        result: Mapping[str, Any],
        view: ExamView,
        shapes: Mapping[str, Region],
        *,
        of_cluster: bool,
    ) -> Region:
        """Return a result that is no cluster region, for the view's control with its name and the same words."""
        if result.get("type") == "relation":
            # Without a label, a relation in an exam means the same lesion in two views.
            if SAME_LESION not in (result.get("labels") or ()):
                raise InvalidRegion(
                    "two of its regions are related, and the new labeling config has no such relation between regions "
                    "of one view; delete the relation, or give --leave-out relation if it is not needed",
                    code="no_control",
                )
            return dict(result) | {
                end: _prefix(view, result.get(end)) for end in ("from_id", "to_id") if end in result
            }
        control, kind = str(result.get("from_name")), str(result.get("type"))
        for name in (f"{control}-{view.name}", control):
            tag = self._controls.get(name)
            if tag is None or tag.tag.lower() != kind or not _holds(tag, result):
                continue
            here = view.name in targets(tag)
            if not here and (is_true(tag, "perRegion") or kind in SHAPE):
                continue
            image = view.name if here else targets(tag)[0]
            moved = _prefixed(result, view) | {"from_name": name, "to_name": image}
            if of_cluster:
                shape = shapes.get(moved["id"])
                if shape is None:
                    break  # the region is part of another finding now
                geometry = {key: each for key, each in shape["value"].items() if key != shape["type"]}
                said = "text" if kind == "textarea" else kind
                moved["value"] = geometry | {said: dict(result["value"])[said]}
            return moved
        raise InvalidRegion(
            f"the new labeling config has no place for what {control!r} states; add the control, or give "
            f"--leave-out {control} if it is not needed",
            code="no_control",
        )


def _holds(tag: ElementTree.Element, result: Mapping[str, Any]) -> bool:
    """Whether a control has the words of a result."""
    kind = str(result.get("type"))
    if kind in VALUES:
        return True
    value = result.get("value")
    words = value.get(kind) if isinstance(value, Mapping) else None
    stored = {label.stored for _, label in labels_of(tag)}
    return isinstance(words, list) and all(isinstance(each, str) and each in stored for each in words)


def _prefix(view: ExamView, region_id: object) -> str:
    return f"{view.name}-{region_id}"


def _prefixed(result: Mapping[str, Any], view: ExamView) -> Region:
    """Return a copy of a result with the view's name before every id, and without the page."""
    moved = copy.deepcopy(dict(result))
    moved.pop("item_index", None)
    old_id = moved.get("id")
    moved["id"] = _prefix(view, old_id)
    if moved.get("parentID"):
        moved["parentID"] = _prefix(view, moved["parentID"])
    finding = predicted_finding(moved)
    if finding is not None:
        moved["meta"] = moved["meta"] | {"finding": _prefix(view, finding)}
    return moved


def _with_ids(findings: Sequence[Finding], view: ExamView) -> list[Finding]:
    """Return findings whose ids are different and begin with the view's name."""
    named, used = list[Finding](), set[str]()
    for number, finding in enumerate(findings):
        name = _prefix(view, finding.id)
        name = f"{name}-{number}" if name in used else name
        used.add(name)
        named.append(replace(finding, id=name))
    return named


def _require_same(before: Sequence[Finding], after: Sequence[Finding]) -> None:
    """Refuse a translation that means other findings."""
    if len(before) != len(after) or not all(map(_same, before, after)):
        raise InvalidRegion(
            "its findings would be read differently from the new project; redraw them, or finish this task in the "
            "old project",
            code="not_the_same",
        )


def _same(one: Finding, other: Finding) -> bool:
    """Whether two findings have equal pixels, boxes, kinds, scores, descriptors and comments."""
    facts = [(each.box, each.is_point, each.score, each.descriptors, each.comment) for each in (one, other)]
    if facts[0] != facts[1] or (one.mask is None) != (other.mask is None):
        return False
    if one.mask is None or other.mask is None:
        return True
    return one.mask.area == other.mask.area == one.mask.intersection_area(other.mask)
