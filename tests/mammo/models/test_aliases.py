"""`previous` and `challenger` follow, every move has an author, and notes stay with a version."""

import pytest

from mammo.errors import ModelNotFound
from mammo.models import CHALLENGER, CHAMPION, PREVIOUS
from tests.mammo.models.versions import register


def test_previous_is_the_champion_before_this_one(registry, tmp_path):
    a, b = (register(registry, tmp_path, name) for name in "ab")
    assert registry.alias(PREVIOUS) is None
    registry.promote(a, expected_epoch=0, reason="first")
    assert registry.alias(PREVIOUS) is None
    registry.promote(b, expected_epoch=1, reason="better")
    assert registry.alias(PREVIOUS).version == a
    registry.roll_back("b misses clusters")
    assert registry.alias(PREVIOUS).version == b


def test_the_challenger_is_the_version_trained_last(registry, tmp_path):
    a, b = (register(registry, tmp_path, name) for name in "ab")
    registry.name_challenger(a, reason="run 1")
    registry.name_challenger(b, reason="run 2")
    registry.name_challenger(b, reason="run 2 again")
    assert registry.alias(CHALLENGER).version == b
    assert [move.reason for move in registry.history(CHALLENGER)] == ["run 1", "run 2"]
    with pytest.raises(ModelNotFound, match="m9999"):
        registry.name_challenger("m9999", reason="")


def test_every_move_of_every_alias_says_who_why_and_when(registry, tmp_path):
    a, b = (register(registry, tmp_path, name) for name in "ab")
    registry.promote(a, expected_epoch=0, reason="first")
    registry.promote(b, expected_epoch=1, reason="our radiologists like it better", actor="maria@site")
    registry.roll_back("it misses clusters", actor="ivo@site")
    moves = [(move.alias, move.kind, move.version, move.actor) for move in registry.history(None)]
    assert moves == [
        (CHAMPION, "promote", a, "gate"),
        (CHAMPION, "promote", b, "maria@site"),
        (PREVIOUS, "follow", a, "maria@site"),
        (CHAMPION, "roll_back", a, "ivo@site"),
        (PREVIOUS, "follow", b, "ivo@site"),
    ]


def test_notes_are_recorded_once_in_order_and_never_change_the_manifest(registry, tmp_path):
    a, b = (register(registry, tmp_path, name) for name in "ab")
    before = registry.manifest(a)
    for _ in range(2):
        registry.note(a, "verdict", {"promote": False, "reason": "not reliably better"})
    registry.note(b, "self_test_failed", {"reason": "no finding"})
    registry.note(a, "verdict", {"promote": True, "reason": "better"})
    assert [(note.kind, note.detail["promote"]) for note in registry.notes(a)] == [
        ("verdict", False),
        ("verdict", True),
    ]
    assert [note.version for note in registry.notes()] == [a, b, a]
    assert registry.manifest(a) == before
    with pytest.raises(ModelNotFound):
        registry.note("m9999", "verdict", {})
