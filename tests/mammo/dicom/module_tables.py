"""The module tables of the standard (PS3.3), as highdicom carries them, as a judge of the files that we write."""

from __future__ import annotations

from highdicom import _standard_utils
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

BY_VALUE_TYPE = "sr-document-content"
"""A module whose attributes depend on the value type of each content item: dciodvfy judges them."""


def contradictions(dataset: Dataset) -> list[str]:
    """Return what a file has against the tables of its SOP class: an attribute missing, empty, or of no module."""
    modules = _standard_utils.get_iod_module_map()[
        _standard_utils.get_sop_class_iod_map()[dataset.SOPClassUID]
    ]
    table = _standard_utils.get_module_attribute_map()
    known, found = set[str](), list[str]()
    for module in modules:
        for attribute in table[module["key"]]:
            path, keyword = attribute["path"], attribute["keyword"]
            if not path:
                known.add(keyword)
            if module["usage"] != "M" or module["key"] == BY_VALUE_TYPE:
                continue
            if attribute["type"] in ("1", "2"):
                for parent in _items(dataset, path):
                    if keyword not in parent:
                        found.append(f"{'.'.join([*path, keyword])} is missing")
                    elif attribute["type"] == "1" and _is_empty(parent[keyword].value):
                        found.append(f"{'.'.join([*path, keyword])} is empty")
    found += [f"{each.keyword} belongs to no module" for each in dataset if each.keyword not in known]
    return sorted(set(found))


def _items(dataset: Dataset, path: list[str]) -> list[Dataset]:
    """The items of the sequences of a path that are there; an optional sequence may be missing."""
    items = [dataset]
    for keyword in path:
        items = [inner for item in items for inner in (item.get(keyword) or [])]
    return items


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str | MultiValue | list) and len(value) == 0)
