"""Tenants, keys and callers, on every database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text

from docfleet.domain.access import Caller, Permission, Role
from docfleet.errors import BadRequest, Conflict, KeyExpired, LedgerError, NotFound, Unauthenticated
from docfleet.ledger import Ledger
from docfleet.ledger.access import CACHE_SECONDS, Access
from docfleet.ledger.dialect import database_now
from docfleet.ledger.service_rows import ApiKeyRow


@pytest.fixture
def ledger(address: str | Path) -> Iterator[Ledger]:
    with Ledger.open(address) as opened:
        yield opened


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def access(ledger: Ledger, clock: Clock) -> Iterator[Access]:
    opened = Access(ledger, clock=clock)
    opened.make_tenant("acme", "Acme")
    yield opened
    opened.close()


def database_time(ledger: Ledger) -> float:
    with ledger.reading() as session:
        return session.execute(select(database_now())).scalar_one()


def test_a_key_says_who_calls(access: Access) -> None:
    view, secret = access.make_key("acme", "scanner", Role.SUBMITTER, [Permission.SUBMIT])
    assert secret.startswith(f"df_{view.id}_")
    assert len(secret.split("_", 2)[2]) == 43
    assert access.authenticate(secret) == Caller("acme", view.id, Role.SUBMITTER, frozenset({Permission.SUBMIT}))
    assert access.keys("acme")[0].name == "scanner"


def test_the_secret_is_kept_nowhere(access: Access, ledger: Ledger) -> None:
    _, secret = access.make_key("acme", "scanner", Role.VIEWER)
    with ledger.reading() as session:
        [row] = session.execute(select(ApiKeyRow)).scalars()
        kept = " ".join(str(value) for value in vars(row).values())
    assert secret not in kept
    assert secret.split("_", 2)[2] not in kept


@pytest.mark.parametrize(
    "wrong", ["", "df_", "nonsense", "df_0123456789abcdef_" + "x" * 43, "df_\x00_" + "\ud800" * 43]
)
def test_what_is_no_key_is_nobodys(access: Access, wrong: str) -> None:
    with pytest.raises(Unauthenticated):
        access.authenticate(wrong)


def test_the_id_of_a_key_with_another_secret_opens_nothing(access: Access) -> None:
    _, first = access.make_key("acme", "one", Role.ADMIN)
    _, second = access.make_key("acme", "two", Role.VIEWER)
    with pytest.raises(Unauthenticated):
        access.authenticate(first[:20] + second[20:])


def test_what_is_known_of_a_key_is_as_true_as_what_is_asked(ledger: Ledger) -> None:
    now = [0.0]
    access = Access(ledger, clock=lambda: now[0])
    access.ensure_tenant("known", "Known")
    view, secret = access.make_key("known", "k", Role.VIEWER)
    assert access.known(secret) is None
    caller = access.authenticate(secret)
    assert access.known(secret) == caller
    assert access.known(secret[:-1]) is None
    now[0] = CACHE_SECONDS
    assert access.known(secret) is None
    access.authenticate(secret)
    access.revoke("known", view.id)
    assert access.known(secret) is None
    access.close()


def test_a_revoked_key_ends_here_at_once_and_elsewhere_within_the_cache_time(
    access: Access, ledger: Ledger, clock: Clock
) -> None:
    elsewhere = Access(ledger, clock=clock)
    view, secret = access.make_key("acme", "scanner", Role.VIEWER)
    access.authenticate(secret)
    elsewhere.authenticate(secret)
    revoked = access.revoke("acme", view.id)
    assert revoked.revoked_at is not None
    assert access.revoke("acme", view.id).revoked_at == revoked.revoked_at
    with pytest.raises(KeyExpired):
        access.authenticate(secret)
    elsewhere.authenticate(secret)
    clock.now = 3.1
    with pytest.raises(KeyExpired):
        elsewhere.authenticate(secret)
    elsewhere.close()


def test_an_expired_key_ends_although_it_is_remembered(access: Access, ledger: Ledger, clock: Clock) -> None:
    _, secret = access.make_key("acme", "short", Role.VIEWER, expires_at=database_time(ledger) + 1.0)
    access.authenticate(secret)
    with ledger.unit_of_work() as session:
        session.execute(text("UPDATE api_key SET expires_at = expires_at - 10"))
    clock.now = 1.1
    with pytest.raises(KeyExpired):
        access.authenticate(secret)


def test_the_keys_of_a_disabled_tenant_open_nothing(access: Access, ledger: Ledger) -> None:
    _, secret = access.make_key("acme", "scanner", Role.VIEWER)
    with ledger.unit_of_work() as session:
        session.execute(text("UPDATE tenant SET disabled_at = 1"))
    with pytest.raises(KeyExpired):
        access.authenticate(secret)


@pytest.mark.parametrize("when", [1.0, float("nan"), float("inf")])
def test_a_key_cannot_expire_in_the_past(access: Access, when: float) -> None:
    with pytest.raises(BadRequest):
        access.make_key("acme", "late", Role.VIEWER, expires_at=when)


def test_nobody_sees_or_ends_the_keys_of_another_tenant(access: Access) -> None:
    view, secret = access.make_key("acme", "scanner", Role.VIEWER)
    access.make_tenant("other", "Other")
    assert access.keys("other") == []
    for id_ in (view.id, "nothing", "\x00"):
        with pytest.raises(NotFound):
            access.revoke("other", id_)
    with pytest.raises(NotFound):
        access.make_key("nobody", "x", Role.VIEWER)
    access.authenticate(secret)


def test_a_tenant_is_made_once(access: Access) -> None:
    with pytest.raises(Conflict):
        access.make_tenant("acme", "Another")
    assert access.ensure_tenant("acme", "Another").name == "Acme"
    assert access.ensure_tenant("new", "New").name == "New"
    assert [tenant.id for tenant in access.tenants()] == ["acme", "new"]
    for wrong in ("", "Acme", "a b", "\x00", "x" * 64):
        with pytest.raises(BadRequest):
            access.make_tenant(wrong, "x")


def test_use_is_recorded_to_the_minute_and_waits_for_nobody(access: Access, ledger: Ledger, clock: Clock) -> None:
    _, secret = access.make_key("acme", "scanner", Role.VIEWER)
    holding, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with ledger.unit_of_work() as session:
            session.execute(text("UPDATE api_key SET name = 'held'"))
            holding.set()
            go_on.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert holding.wait(5)
    access.authenticate(secret)
    assert access.keys("acme")[0].last_used_at is None
    go_on.set()
    holder.join()
    access.close()
    first = access.keys("acme")[0].last_used_at
    assert first is not None
    clock.now = 10
    access.authenticate(secret)
    access.close()
    assert access.keys("acme")[0].last_used_at == first
    with ledger.unit_of_work() as session:
        session.execute(text("UPDATE api_key SET last_used_at = last_used_at - 61"))
    clock.now = 20
    access.authenticate(secret)
    access.close()
    assert (access.keys("acme")[0].last_used_at or 0) >= first


def test_a_ledger_that_fails_is_told_as_such(access: Access, ledger: Ledger) -> None:
    _, secret = access.make_key("acme", "scanner", Role.VIEWER)
    with ledger.unit_of_work() as session:
        session.execute(text("ALTER TABLE api_key RENAME TO gone"))
    with pytest.raises(LedgerError):
        access.authenticate(secret)
