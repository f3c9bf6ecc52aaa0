"""Every sentence of the annotators' page that says what a gesture does is executed by a test or a benchmark, and a new
sentence must be on one of their lists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
GESTURE = re.compile(
    r"\b(click|press|drag|draw|paint|wheel|switch|take|choose|point at|submit|brush|Escape)\w*\b"
    r"|\bdelete what|Ctrl|Alt|Shift|✓|✗|\*\*[\dA-Z]\*\*",
    re.IGNORECASE,
)

EXAM, ANNOTATOR = "tests/e2e/test_exam.py::", "tests/e2e/test_annotator.py::"
FINDINGS, REFINING = "tests/e2e/test_findings.py::", "tests/e2e/test_refining.py::"
READ_AND_SAID = f"{EXAM}test_what_was_read_and_said_reaches_the_store_once_per_image"
LARGER = f"{EXAM}test_a_key_enlarges_a_pair_and_another_shows_all_views_again"
PROMPTS = f"{ANNOTATOR}test_a_click_and_a_click_beside_become_a_mask"
BY_BOX = f"{ANNOTATOR}test_a_box_becomes_a_mask"
BY_CLICK = f"{FINDINGS}test_a_click_asks_for_an_outline_that_is_kept_as_it_was_shown"
SMALLER = f"{REFINING}test_a_negative_click_replaces_a_prelabel_by_a_smaller_one_and_undo_brings_it_back"
TOOLS = f"{ANNOTATOR}test_tools_are_at_hand_and_prompts_apart_from_findings"
ACCEPTED = f"{FINDINGS}test_a_prelabel_that_is_submitted_untouched_comes_back_as_the_findings_that_were_sent"
DELETED = f"{FINDINGS}test_a_click_and_a_key_delete_one_of_three_findings_and_leave_the_others_as_they_were"
NO_FINDINGS = (
    "tests/mammo/labelstudio/test_interpretation.py"
    "::test_other_labels_attributes_relations_and_prompts_are_no_findings"
)
DRAWING = "tests/e2e/test_drawing.py::"
OUTLINED = f"{DRAWING}test_a_closed_outline_is_a_finding_also_beside_another_one"
SERVER = "tests/backend/test_refining.py::"

EXECUTED = {
    "The model has outlined": f"{EXAM}test_all_four_views_and_every_outline_are_in_the_window",
    "What you submit is the truth": f"{EXAM}test_the_dataset_version_has_an_item_of_every_view",
    "accept what the model drew": ACCEPTED,
    "remove a finding": DELETED,
    "say that there is nothing": (
        "tests/training/datasets/test_building.py::test_a_normal_mammogram_is_a_case_without_findings"
    ),
    "undo → Ctrl + Z": SMALLER,
    "see two views larger": LARGER,
    "invert the images": LARGER,
    "raise the contrast": LARGER,
    "see the earlier exam": LARGER,
    "look closer at the earlier exam": LARGER,
    "describe a finding": READ_AND_SAID,
    "describe the exam": READ_AND_SAID,
    "The page shows the key": READ_AND_SAID,
    "Select a finding first": DELETED,
    "The same key again takes": DELETED,
    "zoom where the pointer is": TOOLS,
    "see what lies under the drawings": f"{ANNOTATOR}test_a_prelabel_is_painted_on_its_pixels",
    "Switch on **Auto-Annotation**": PROMPTS,
    "Then click an empty place of the bar": (
        f"{DRAWING}test_a_click_that_is_accepted_by_itself_is_not_sent_with_the_next_one"
    ),
    "Point at the last tool": PROMPTS,
    "Press **1** and click": BY_CLICK,
    "Press **1** again": PROMPTS,
    "All clicks together refine": PROMPTS,
    "Take the suggestion with ✓": BY_CLICK,
    "Your clicks disappear": f"{ANNOTATOR}test_what_was_shown_is_what_is_stored",
    "For a box": BY_BOX,
    "A box narrower than": f"{ANNOTATOR}test_a_narrow_box_becomes_the_outline_of_one_calcification",
    "What you take with ✓": f"{ANNOTATOR}test_what_was_shown_is_what_is_stored",
    "A click that is still there": NO_FINDINGS,
    "An outline need not be drawn anew": SMALLER,
    "too large → ": SMALLER,
    "The answer takes the place": SMALLER,
    "With *Auto-Accept Suggestions* on": SMALLER,
    "Further clicks start": f"{SERVER}test_successive_clicks_add_up_whether_they_wait_were_saved_or_not_yet",
    "Separate patches of a mask": "tests/mammo/labelstudio/test_interpretation.py",
    "*The model found 31 clusters": "tests/mammo/labelstudio/test_rendering.py",
    "A negative click removes": "tests/backend/test_refining.py",
    "A click outside all outlines": "tests/backend/test_refining.py",
    "Ellipses, vectors and bitmasks": "tests/backend/test_refining.py",
    "The text also says": "tests/backend/test_refining.py",
    "The outline changes within": "tests/backend/test_refining.py",
    "An outline that you deleted less than": (
        f"{SERVER}test_a_finding_that_is_deleted_comes_back_with_a_click_beside_it_until_that_is_saved"
    ),
    "After ✗ or Ctrl + Z": f"{SERVER}test_what_was_undone_is_forgotten",
    "leave an image unread": f"{EXAM}test_an_exam_that_is_skipped_stays_unread",
    "Press *Label All Tasks*": f"{EXAM}test_the_projects_data_open_in_the_tab_of_exams",
    "zoom one view": LARGER,
    "move the image": TOOLS,
    "The label is deselected": PROMPTS,
    "To enlarge one, choose it": f"{ANNOTATOR}test_a_mask_that_is_chosen_in_the_list_is_enlarged_by_the_brush",
    "brightness, contrast": f"{DRAWING}test_brightness_and_contrast_follow_their_sliders",
    "Outline → 5": OUTLINED,
    "To get a new finding nearer": OUTLINED,
    "Mask → 4": f"{DRAWING}test_a_mask_is_painted_with_a_brush_that_grows_and_erased",
    "Box → 3": f"{DRAWING}test_an_outline_that_a_box_meets_becomes_its_mask",
    "Point → 6": f"{DRAWING}test_a_point_is_a_finding_of_unknown_extent",
    "A suggestion that you do not take": f"{DRAWING}test_a_suggestion_that_is_not_taken_is_not_saved",
    "The text of an outline that you drag": (
        f"{DRAWING}test_the_text_of_an_outline_that_is_dragged_stays_as_it_was"
    ),
    "no drawing at all": (
        f"{DRAWING}test_where_nothing_is_drawn_a_click_asks_for_an_outline_and_a_person_draws_one"
    ),
    "Correct your annotation and press": (
        "tests/e2e/test_loop.py"
        "::test_a_label_that_is_sent_back_is_in_its_readers_tab_until_the_answer_is_recorded_with_its_cause"
    ),
    "If it is right, set a point": (
        f"{DRAWING}test_a_point_that_is_deleted_again_and_update_answer_a_second_look_and_end_it"
    ),
    "Where a task shows one image": (
        f"{DRAWING}test_a_click_that_is_accepted_by_itself_is_not_sent_with_the_next_one"
    ),
    "In an exam, switch it on": (
        f"{EXAM}test_a_click_in_another_view_drops_a_suggestion_that_waits_and_none_that_is_accepted_by_itself"
    ),
    "An outline that is linked": (
        f"{REFINING}test_a_suggestion_for_a_linked_outline_that_waits_breaks_the_page_until_it_is_loaded_again"
    ),
}
"""Beginning of a sentence -> the test that executes it, or the file of those that do."""

BY_BENCHMARK = {
    "correct an outline": "_drag",
    "say that two outlines are the same lesion": "_connect",
    "ask the model → **1**": "_ask_for",
    "outline a finding by hand": "_draw",
    "too small → ": "_ask_for",
    "Press Escape first": "_ask_for",
}
"""Beginning of a sentence -> the gesture of `benchmarks/corrections/hands.py` that executes it."""


def statements(page: str) -> list[str]:
    """Rows of tables and sentences, in their order, without links and pictures."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"!\[[^\]]*\]\([^)]*\)", "", page))
    found: list[str] = []
    for block in re.split(r"\n\s*\n|\n(?=\||\d\. |\* |#)", text):
        line = re.sub(r"^(\d\.|\*)\s+", "", " ".join(block.split()))
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
            found.append(" → ".join(filter(None, cells)))
        elif not line.startswith("#"):
            found += re.split(r"(?<=[.!?]) (?=[A-Z*`])", line)
    return [each for each in found if each]


def gestures() -> list[str]:
    page = (ROOT / "docs/annotators.md").read_text()
    return [each for each in statements(page) if GESTURE.search(each)]


def test_every_sentence_about_a_gesture_is_executed() -> None:
    known = (*EXECUTED, *BY_BENCHMARK)
    assert [each for each in gestures() if not each.startswith(known)] == []


def test_every_sentence_that_is_listed_is_on_the_page_once() -> None:
    said = gestures()
    counts = {
        each: sum(sentence.startswith(each) for sentence in said) for each in (*EXECUTED, *BY_BENCHMARK)
    }
    assert {each: count for each, count in counts.items() if count != 1} == {}


def test_the_tests_that_execute_them_exist() -> None:
    hands = names_in(ROOT / "benchmarks/corrections/hands.py")
    assert set(BY_BENCHMARK.values()) <= hands
    for test in EXECUTED.values():
        file, _, name = test.partition("::")
        assert (ROOT / file).is_file(), file
        assert not name or name in names_in(ROOT / file), test


def names_in(file: Path) -> set[str]:
    return {each.name for each in ast.walk(ast.parse(file.read_text())) if isinstance(each, ast.FunctionDef)}


def test_a_new_sentence_is_noticed() -> None:
    page = "# A\n\n| do | so |\n|---|---|\n| see | press **Q** |\n\nIt is so. Press **X**,\nthen click. See *this*.\n"
    said = [each for each in statements(page) if GESTURE.search(each)]
    assert said == ["see → press **Q**", "Press **X**, then click."]
