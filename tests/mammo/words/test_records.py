"""A head proposes only after a person switched it on, which is refused where the rule allows no word; audited."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.audit import AuditTrail
from mammo.database import word_head, writing
from mammo.errors import InsufficientData, InvalidWeights, ModelNotFound
from mammo.words.records import WordHeads, WordState
from tests.mammo.words.heads import content
from tests.sites import site_of
from tests.training.project import NOW


def test_a_kept_head_proposes_nothing_until_it_is_switched_on(engine: Engine) -> None:
    heads = WordHeads(engine)
    kept = heads.keep(content())
    assert (heads.serving(3), heads.on(3)) == (None, None)
    assert heads.turn_on(3, reason="measured", actor="lena").on_by == "lena"
    serving = heads.serving(3)
    assert serving is not None
    assert serving.name == kept.name
    assert heads.serving(4) is None
    assert heads.turn_off(3, reason="enough", actor="max") == kept.name
    assert heads.serving(3) is None
    entries = [(each.actor, each.action, each.subject) for each in AuditTrail(engine).newest()]
    assert entries == [("max", "words switched off", "project 3"), ("lena", "words switched on", "project 3")]


def test_a_head_that_is_fitted_later_proposes_only_after_it_is_switched_on_itself(engine: Engine) -> None:
    heads = WordHeads(engine)
    first = heads.keep(content())
    heads.turn_on(3, reason="r", actor="a")
    second = heads.keep(content(dataset="ef" * 32))
    on = heads.on(3)
    assert on is not None
    assert (on.name, heads.newest(3)) == (first.name, second)
    heads.turn_on(3, reason="r", actor="a")
    on = heads.on(3)
    assert on is not None
    assert on.name == second.name


def test_whether_words_are_proposed_is_said_of_every_project(engine: Engine) -> None:
    heads = WordHeads(engine)
    assert heads.states() == {}
    assert "was not measured" in WordState(project=4).sentence
    heads.keep(content())
    assert "words show --project 3" in heads.states()[3].sentence
    on = heads.turn_on(3, reason="measured", actor="lena")
    heads.keep(content(dataset="ef" * 32))
    state = heads.states()[3]
    assert (state.proposes, state.on_by) == (tuple(on.proposes), "lena")
    assert f"proposes {', '.join(on.proposes)} since" in state.sentence


def test_the_same_head_is_kept_once(engine: Engine) -> None:
    heads = WordHeads(engine)
    assert heads.keep(content()).name == heads.keep(content()).name


def test_a_head_that_may_propose_nothing_is_refused_with_what_each_word_needs(engine: Engine) -> None:
    heads = WordHeads(engine)
    with pytest.raises(ModelNotFound, match="words fit --project 3"):
        heads.turn_on(3, reason="r", actor="a")
    heads.keep(content(proposed=False))
    with pytest.raises(InsufficientData, match="linear: so says the rule") as refused:
        heads.turn_on(3, reason="r", actor="a")
    assert refused.value.code == "words_not_measured"
    assert AuditTrail(engine).newest() == []
    with pytest.raises(ModelNotFound, match="proposes no words"):
        heads.turn_off(3, reason="r", actor="a")


@pytest.mark.parametrize(
    "change", [{"schema": 9}, {"descriptors": {"distribution": {"head": {}, "words": []}}}]
)
def test_a_head_of_another_release_is_refused(engine: Engine, change: dict[str, Any]) -> None:
    heads = WordHeads(engine)
    heads.keep(content() | change)
    with writing(engine) as connection:
        connection.execute(sa.update(word_head).values(on_since=NOW))
    with pytest.raises(InvalidWeights, match="words fit"):
        heads.serving(3)


def test_a_head_that_was_changed_is_refused(engine: Engine) -> None:
    heads = WordHeads(engine)
    heads.keep(content())
    heads.turn_on(3, reason="r", actor="a")
    with writing(engine) as connection:
        connection.execute(sa.update(word_head).values(content=orjson.dumps(content(dataset="ef" * 32))))
    with pytest.raises(InvalidWeights, match="it was changed"):
        heads.serving(3)
    assert site_of(engine=engine).word_head(3) is None, "a prelabel is whole without words"
