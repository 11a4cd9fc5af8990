"""API keys of a tenant, and who a key belongs to."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from docfleet.api.inputs import KeyId, Moment, Parts, Text, Who, optional_seconds
from docfleet.api.resource import Open, Resource
from docfleet.api.schemas import example, moment
from docfleet.domain.access import Caller, Permission, Role, is_allowed
from docfleet.errors import Conflict, Forbidden, NotFound
from docfleet.ledger.service_values import KeyView

keys = Resource("Keys")
_AT = "2026-03-14T09:26:53.589000Z"
EXAMPLE_KEY: dict[str, Any] = {
    "id": "4f0c9a1b2d3e4f5a",
    "name": "scanner at the front desk",
    "role": "submitter",
    "scopes": [],
    "created_at": _AT,
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": _AT,
}


class KeyOut(BaseModel):
    """A key, without its secret, which is kept nowhere."""

    model_config = example(**EXAMPLE_KEY)

    id: str
    name: str
    role: Role
    scopes: list[Permission] = Field(description="What it is narrowed to; empty: all of its role.")
    created_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")

    @classmethod
    def of(cls, view: KeyView) -> KeyOut:
        return cls(
            id=view.id, name=view.name, role=Role(view.role), scopes=[Permission(scope) for scope in view.scopes],
            created_at=moment(view.created_at), expires_at=moment(view.expires_at),
            revoked_at=moment(view.revoked_at), last_used_at=moment(view.last_used_at),
        )  # fmt: skip


class KeyMadeOut(BaseModel):
    """A new key. The secret is shown this once."""

    model_config = example(key=EXAMPLE_KEY, secret="df_4f0c9a1b2d3e4f5a_…")

    key: KeyOut
    secret: str = Field(description="Send it as `Authorization: Bearer …`.")


class KeysOut(BaseModel):
    model_config = example(items=[EXAMPLE_KEY])

    items: list[KeyOut]


class KeyIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "scanner at the front desk", "role": "submitter"}]}
    )

    name: Annotated[Text, Field(min_length=1, max_length=200)]
    role: Role
    scopes: Annotated[list[Permission], Field(max_length=32)] = []
    expires_at: Moment | None = None


_ME = {"tenant": "acme", "key_id": "4f0c9a1b2d3e4f5a", "role": "submitter", "permissions": ["documents:list"]}


class MeOut(BaseModel):
    """Who the service takes the caller for."""

    model_config = example(**_ME)

    tenant: str
    key_id: str
    role: Role
    permissions: list[Permission]


@keys.route("GET", "/v1/me", Open.ANY_KEY, out=MeOut, takes_input=False)
def read_me(caller: Who) -> MeOut:
    """Who this key belongs to, and what it may do."""
    allowed = [permission for permission in Permission if caller.may(permission)]
    return MeOut(tenant=caller.tenant, key_id=caller.key_id, role=caller.role, permissions=allowed)


@keys.route("GET", "/v1/keys", Permission.READ_KEYS, out=KeysOut)
def list_keys(parts: Parts, caller: Who) -> KeysOut:
    """The tenant's keys, also those that have ended."""
    return KeysOut(items=[KeyOut.of(view) for view in parts.access.keys(caller.tenant)])


@keys.route("POST", "/v1/keys", Permission.MANAGE_KEYS, out=KeyMadeOut, status=201, problems=(NotFound,))
def make_key(body: KeyIn, parts: Parts, caller: Who) -> KeyMadeOut:
    """Make a key. It can do no more than the key that makes it."""
    check_grant(caller, body.role, body.scopes)
    view, secret = parts.access.make_key(
        caller.tenant, body.name, body.role, body.scopes, optional_seconds(body.expires_at)
    )
    return KeyMadeOut(key=KeyOut.of(view), secret=secret)


@keys.route("DELETE", "/v1/keys/{key_id}", Permission.MANAGE_KEYS, out=KeyOut, problems=(NotFound, Conflict))
def revoke_key(key_id: KeyId, parts: Parts, caller: Who) -> KeyOut:
    """Revoke a key; it works no longer within five seconds."""
    return KeyOut.of(parts.access.revoke(caller.tenant, key_id))


def check_grant(caller: Caller, role: Role, scopes: list[Permission]) -> None:
    """Raises `Forbidden` for a key that could do what its maker cannot: one narrowed by scopes makes none wider."""
    wider = [
        permission
        for permission in Permission
        if is_allowed(caller.tenant, role, scopes, permission) and not caller.may(permission)
    ]
    if wider:
        raise Forbidden(f"The new key could do what this one may not: {', '.join(wider)}.")
