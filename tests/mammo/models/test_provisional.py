"""Provisional models: named apart, serving one project, and never champion."""

import pytest

from mammo.audit import AuditTrail
from mammo.database import writing
from mammo.errors import InvalidWeights, ModelNotFound
from mammo.models import PROVISIONAL, ModelRegistry, ProvisionalModels
from mammo.models.provisional import serve, withdraw
from tests.mammo.models.versions import register, starter


@pytest.fixture
def registry(any_engine, tmp_path):
    registry = ModelRegistry(any_engine, tmp_path / "blobs")
    registry.ensure_starter(starter(tmp_path / "starter"))
    return registry


def test_a_provisional_version_has_a_name_of_its_own_kind(registry, tmp_path):
    assert register(registry, tmp_path, "a", **{PROVISIONAL: 4}).startswith("p0002-")
    assert register(registry, tmp_path, "b").startswith("m0003-")


def test_nobody_can_promote_it(registry, tmp_path):
    version = register(registry, tmp_path, "a", **{PROVISIONAL: 4})
    with pytest.raises(InvalidWeights, match="serves project 4 only") as refused:
        registry.promote(version, expected_epoch=1, reason="it looks good", actor="a person")
    assert refused.value.code == "provisional_version"
    assert registry.champion().version == "starter-1"


@pytest.mark.parametrize("project", [0, True, "4", None])
def test_a_manifest_that_names_no_project_is_refused(registry, tmp_path, project):
    with pytest.raises(ValueError, match="a project's number"):
        register(registry, tmp_path, "a", **{PROVISIONAL: project})


def test_it_serves_until_it_is_withdrawn_and_both_are_in_the_audit_trail(any_engine):
    provisional = ProvisionalModels(any_engine)
    with writing(any_engine) as connection:
        serve(connection, 4, "p0002-aaaaaaaa", reason="better", actor="provisional run")
        assert withdraw(connection, 5, reason="none is there", actor="gate") is None
    assert provisional.versions() == {4: "p0002-aaaaaaaa"}
    assert provisional.withdraw(4, reason="too many alarms", actor="anna") == "p0002-aaaaaaaa"
    assert provisional.versions() == {}
    ended, began = AuditTrail(any_engine).newest()
    assert (began.action, began.subject) == ("provisional model serves", "project 4")
    assert (ended.action, ended.actor) == ("provisional model withdrawn", "anna")
    with pytest.raises(ModelNotFound, match="project 4") as missing:
        provisional.withdraw(4, reason="again", actor="anna")
    assert missing.value.code == "no_provisional_model"
