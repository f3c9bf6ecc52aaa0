"""Users, sessions and keys of the console."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from mammo.access.access import Access
from mammo.access.roles import includes
from mammo.access.sessions import LIFETIME
from mammo.database import api_key, console_session, console_user, reading
from mammo.errors import InvalidAccess

PASSWORD = "a long enough password"


@pytest.fixture
def access(engine):
    made = Access.of(engine)
    made.users.add("anna", "lead", password=PASSWORD, actor="root@here")
    return made


def stored(engine, table):
    with reading(engine) as connection:
        return str(connection.execute(sa.select(table)).all())


def test_a_user_is_recognised_by_its_password_only(access):
    assert access.users.check("anna", PASSWORD).role == "lead"
    assert access.users.check("anna", PASSWORD + "x") is None
    assert access.users.check("berta", PASSWORD) is None
    assert access.users.check("anna", "") is None
    assert access.users.check("anna", "x" * 10_000_000) is None


def test_the_database_holds_no_password_cookie_or_key(access, engine):
    cookie, key = access.sessions.open("anna"), access.keys.add("ci", "viewer", actor="a")
    kept = stored(engine, console_user) + stored(engine, console_session) + stored(engine, api_key)
    assert "$argon2id$" in kept
    for secret in (PASSWORD, cookie, key):
        assert secret not in kept


def test_an_umlaut_is_the_same_however_it_is_typed(access):
    access.users.add("uli", "viewer", password="zw\u00f6lf Zeichen", actor="a")
    assert access.users.check("uli", "zwo\u0308lf Zeichen") is not None


def test_a_user_of_a_proxy_has_no_password_that_could_be_guessed(access):
    access.users.add("carla", "viewer", password=None, actor="a")
    assert access.users.check("carla", "") is None
    assert access.users.check("carla", "of nobody at all") is None


@pytest.mark.parametrize("name", ["", "a b", "<script>", "a" * 65, "-a", "a\n"])
def test_a_name_that_is_none_is_refused(access, name):
    with pytest.raises(InvalidAccess, match="is no name"):
        access.users.add(name, "viewer", password=PASSWORD, actor="a")


def test_a_short_password_and_a_taken_name_are_refused(access):
    with pytest.raises(InvalidAccess, match="10 to 200 characters"):
        access.users.add("berta", "viewer", password="short", actor="a")
    with pytest.raises(InvalidAccess, match="already"):
        access.users.add("anna", "administrator", password=PASSWORD, actor="a")
    assert access.users.find("anna").role == "lead"


def test_a_session_ends_in_time_by_log_out_by_a_new_password_and_with_its_user(access):
    now = datetime.now(UTC)
    cookie = access.sessions.open("anna")
    assert access.sessions.find(cookie).name == "anna"
    assert access.sessions.find(cookie, now=now + LIFETIME + timedelta(minutes=1)) is None
    assert access.sessions.find("x") is None
    access.sessions.end(cookie)
    assert access.sessions.find(cookie) is None
    cookie = access.sessions.open("anna")
    access.users.change_password("anna", PASSWORD + "!", actor="a")
    assert access.sessions.find(cookie) is None
    cookie = access.sessions.open("anna")
    access.users.remove("anna", actor="a")
    assert access.sessions.find(cookie) is None
    with pytest.raises(InvalidAccess, match="no user"):
        access.users.remove("anna", actor="a")


def test_a_role_changes_in_open_sessions_too(access):
    cookie = access.sessions.open("anna")
    access.users.change_role("anna", "viewer", actor="a")
    assert access.sessions.find(cookie).role == "viewer"


def test_expired_sessions_do_not_pile_up(access, engine):
    access.sessions.open("anna", now=datetime.now(UTC) - 2 * LIFETIME)
    access.sessions.open("anna")
    with reading(engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(console_session)) == 1


def test_a_key_is_found_listed_with_its_last_use_and_revoked(access):
    key = access.keys.add("ci", "viewer", actor="a")
    assert access.keys.all()[0].used_at is None
    assert access.keys.find([key]).name == "ci"
    assert access.keys.find(["x"]) is None
    assert access.keys.all()[0].used_at is not None
    with pytest.raises(InvalidAccess, match="already"):
        access.keys.add("ci", "viewer", actor="a")
    access.keys.revoke("ci", actor="a")
    assert access.keys.find([key]) is None
    with pytest.raises(InvalidAccess, match="no key"):
        access.keys.revoke("ci", actor="a")


def test_a_role_may_do_what_those_before_it_may():
    assert includes("administrator", "viewer")
    assert includes("lead", "lead")
    assert not includes("viewer", "lead")
    assert not includes("lead", "administrator")


def test_every_change_is_in_the_audit_trail(access):
    access.users.change_role("anna", "viewer", actor="root@here")
    access.keys.add("ci", "lead", actor="anna")
    assert [(each.actor, each.action, each.subject, each.reason) for each in access.trail.newest()] == [
        ("anna", "key added", "ci", "as lead"),
        ("root@here", "user's role changed", "anna", "to viewer"),
        ("root@here", "user added", "anna", "as lead"),
    ]
