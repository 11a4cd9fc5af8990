"""Tenants, their keys, and who a request comes from."""

from __future__ import annotations

import hashlib
import queue
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import cast

import msgspec
from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.orm import Session

from docfleet.domain.access import Caller, Permission, Role
from docfleet.errors import BadRequest, Conflict, KeyExpired, LedgerError, NotFound, Unauthenticated
from docfleet.ledger.checks import plain_text
from docfleet.ledger.dialect import database_now, upsert
from docfleet.ledger.ledger import Ledger
from docfleet.ledger.service_rows import ApiKeyRow, TenantRow
from docfleet.ledger.service_values import KeyView, TenantView
from docfleet.telemetry import logger

CACHE_SECONDS = 3.0
"""How long an answer is believed without a look: a revoked key works no longer than this."""
CACHED_KEYS = 10_000
USE_SECONDS = 60.0
"""`last_used_at` is that exact."""

_log = logger(__name__)
_TENANT_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_KEY_ID = re.compile(r"[0-9a-f]{16}")
_SECRET = re.compile(r"df_[0-9a-f]{16}_[A-Za-z0-9_-]{43}")


class _Known(msgspec.Struct, frozen=True):
    caller: Caller
    believed_until: float
    """By this process's monotonic clock."""


class Access:
    """Every call is one transaction. Threads may share one; close it with its ledger."""

    def __init__(
        self, ledger: Ledger, cache_seconds: float = CACHE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger = ledger
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._uses: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None

    def close(self) -> None:
        """Waits until the last uses are written."""
        with self._lock:
            writer, self._writer = self._writer, None
        if writer is not None:
            self._uses.put(None)
            writer.join()

    # --- tenants

    def make_tenant(self, id: str, name: str, region: str = "") -> TenantView:
        """Raises Conflict when there is one of this id, BadRequest for an id that is no short lower-case name."""
        with self._ledger.unit_of_work() as session:
            if not _add_tenant(session, id, name, region):
                raise Conflict(f"There is a tenant {id} already.")
            return _tenant(session, id)

    def ensure_tenant(self, id: str, name: str) -> TenantView:
        """Makes the tenant unless it is there."""
        with self._ledger.unit_of_work() as session:
            _add_tenant(session, id, name, "")
            return _tenant(session, id)

    def tenants(self) -> list[TenantView]:
        with self._ledger.reading() as session:
            rows = session.execute(select(TenantRow).order_by(TenantRow.id)).scalars()
            return [_tenant_view(row) for row in rows]

    # --- keys

    def make_key(
        self,
        tenant: str,
        name: str,
        role: Role,
        scopes: Collection[Permission] = (),
        expires_at: float | None = None,
    ) -> tuple[KeyView, str]:
        """The key and its secret, which is kept nowhere. `expires_at`: seconds since 1970, in the future.

        Raises NotFound for an unknown tenant, BadRequest for a time that has passed.
        """
        plain_text(name, "The name of a key", 200)
        key_id = secrets.token_hex(8)
        secret = f"df_{key_id}_{secrets.token_urlsafe(32)}"
        with self._ledger.unit_of_work() as session:
            _tenant(session, tenant)
            now = session.execute(select(database_now())).scalar_one()
            # written so that a NaN is refused as well
            if expires_at is not None and not now < expires_at < 1e11:
                raise BadRequest("A key has to expire in the future.")
            row = ApiKeyRow(
                id=key_id, tenant_id=tenant, name=name, secret_hash=_hash(secret), role=Role(role).value,
                scopes_json=msgspec.json.encode(sorted(Permission(scope).value for scope in scopes)).decode(),
                created_at=now, expires_at=expires_at, revoked_at=None, last_used_at=None,
            )  # fmt: skip
            session.add(row)
            session.flush()
            return _key_view(row), secret

    def keys(self, tenant: str) -> list[KeyView]:
        """All of the tenant's, also the expired and revoked, the newest first."""
        with self._ledger.reading() as session:
            rows = session.execute(
                select(ApiKeyRow)
                .where(ApiKeyRow.tenant_id == tenant)
                .order_by(ApiKeyRow.created_at.desc(), ApiKeyRow.id)
            ).scalars()
            return [_key_view(row) for row in rows]

    def revoke(self, tenant: str, key_id: str) -> KeyView:
        """Takes effect within `CACHE_SECONDS` everywhere, here at once. Again: nothing more happens."""
        if not _KEY_ID.fullmatch(key_id):
            raise NotFound("There is no key with this id.")
        with self._ledger.unit_of_work() as session:
            session.execute(
                update(ApiKeyRow)
                .where(ApiKeyRow.id == key_id, ApiKeyRow.tenant_id == tenant, ApiKeyRow.revoked_at.is_(None))
                .values(revoked_at=database_now())
                .execution_options(synchronize_session=False)
            )
            row = session.execute(
                select(ApiKeyRow).where(ApiKeyRow.id == key_id, ApiKeyRow.tenant_id == tenant)
            ).scalar_one_or_none()
            if row is None:
                raise NotFound("There is no key with this id.")
            view, hashed = _key_view(row), row.secret_hash
        with self._lock:
            self._known.pop(hashed, None)
        return view

    # --- callers

    def authenticate(self, secret: str) -> Caller:
        """Who holds this secret. Raises Unauthenticated when nobody does, KeyExpired when the key has ended.

        The answer is believed for `cache_seconds`, but never past the key's expiry. What is no key is not remembered.
        """
        if not _SECRET.fullmatch(secret):
            raise Unauthenticated()
        known = self.known(secret)
        if known is not None:
            return known
        hashed = _hash(secret)
        asked_at = self._clock()
        with self._ledger.reading() as session:
            found = session.execute(
                select(ApiKeyRow, TenantRow.disabled_at, database_now())
                .join(TenantRow, TenantRow.id == ApiKeyRow.tenant_id)
                .where(ApiKeyRow.secret_hash == hashed)
            ).one_or_none()
        if found is None:
            raise Unauthenticated()
        row, disabled_at, now = found
        if (
            row.revoked_at is not None
            or disabled_at is not None
            or (row.expires_at is not None and row.expires_at <= now)
        ):
            raise KeyExpired()
        scopes = frozenset(Permission(scope) for scope in msgspec.json.decode(row.scopes_json, type=list[str]))
        caller = Caller(row.tenant_id, row.id, Role(row.role), scopes)
        left = self._cache_seconds if row.expires_at is None else min(self._cache_seconds, row.expires_at - now)
        self._remember(hashed, _Known(caller, asked_at + left))
        if row.last_used_at is None or row.last_used_at <= now - USE_SECONDS:
            self._note_use(row.id)
        return caller

    def known(self, secret: str) -> Caller | None:
        """As `authenticate`, as far as it needs no look into the ledger. Never blocks."""
        # of one entry, which is replaced and never changed: it needs no lock
        known = self._known.get(_hash(secret))
        return known.caller if known is not None and self._clock() < known.believed_until else None

    def _remember(self, hashed: str, known: _Known) -> None:
        with self._lock:
            self._known[hashed] = known
            self._known.move_to_end(hashed)
            while len(self._known) > CACHED_KEYS:
                self._known.popitem(last=False)

    def _note_use(self, key_id: str) -> None:
        """In another thread: a busy ledger must not keep a request waiting for a mere record of it."""
        with self._lock:
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_uses, name="key-uses", daemon=True)
                self._writer.start()
        self._uses.put(key_id)

    def _write_uses(self) -> None:
        while (key_id := self._uses.get()) is not None:
            try:
                with self._ledger.unit_of_work() as session:
                    session.execute(_USED, {"used_id": key_id})
            except LedgerError as error:
                _log.debug("key_use_not_recorded", key_id=key_id, error=error)


_API_KEY = cast(Table, ApiKeyRow.__table__)
_TENANT = cast(Table, TenantRow.__table__)
_USED = (
    update(_API_KEY)
    .where(
        _API_KEY.c.id == bindparam("used_id"),
        _API_KEY.c.last_used_at.is_(None) | (_API_KEY.c.last_used_at <= database_now() - USE_SECONDS),
    )
    .values(last_used_at=database_now())
)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _add_tenant(session: Session, id: str, name: str, region: str) -> bool:
    """False when there is one of this id."""
    if not _TENANT_ID.fullmatch(id):
        raise BadRequest("The id of a tenant has lower-case letters, digits and hyphens, at most 63.")
    plain_text(name, "The name of a tenant", 200)
    plain_text(region, "The name of a region", 63)
    made = session.execute(
        upsert(session, TenantRow)
        .values(id=id, name=name, region=region, settings_json="{}", created_at=database_now(), disabled_at=None)
        .on_conflict_do_nothing(index_elements=["id"])
        .returning(_TENANT.c.id)
    ).one_or_none()
    return made is not None


def _tenant(session: Session, id: str) -> TenantView:
    row = session.execute(select(TenantRow).where(TenantRow.id == id)).scalar_one_or_none()
    if row is None:
        raise NotFound("There is no tenant with this id.")
    return _tenant_view(row)


def _tenant_view(row: TenantRow) -> TenantView:
    return TenantView(row.id, row.name, row.region, row.created_at, row.disabled_at)


def _key_view(row: ApiKeyRow) -> KeyView:
    return KeyView(
        row.id, row.tenant_id, row.name, row.role, tuple(msgspec.json.decode(row.scopes_json, type=list[str])),
        row.created_at, row.expires_at, row.revoked_at, row.last_used_at,
    )  # fmt: skip
