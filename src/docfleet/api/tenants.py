"""Tenants; for keys of the system tenant."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from docfleet.api.inputs import Parts, Text
from docfleet.api.keys import EXAMPLE_KEY, KeyMadeOut, KeyOut
from docfleet.api.resource import Resource
from docfleet.api.schemas import example, moment
from docfleet.domain.access import Permission, Role
from docfleet.errors import Conflict
from docfleet.ledger.service_values import TenantView

tenants = Resource("Tenants")
_TENANT = {
    "id": "acme",
    "name": "ACME Ltd",
    "region": "local",
    "created_at": "2026-03-14T09:26:53.589000Z",
    "disabled_at": None,
}


class TenantOut(BaseModel):
    """An organisation (or team) that sees its own documents and nothing else."""

    model_config = example(**_TENANT)

    id: str
    name: str
    region: str
    created_at: datetime | None
    disabled_at: datetime | None

    @classmethod
    def of(cls, view: TenantView) -> TenantOut:
        return cls(
            id=view.id, name=view.name, region=view.region, created_at=moment(view.created_at),
            disabled_at=moment(view.disabled_at),
        )  # fmt: skip


class TenantsOut(BaseModel):
    model_config = example(items=[_TENANT])

    items: list[TenantOut]


class TenantMadeOut(BaseModel):
    """A new tenant and its first key, an admin's."""

    model_config = example(
        tenant=_TENANT,
        key={
            "key": {**EXAMPLE_KEY, "name": "admin", "role": "admin", "last_used_at": None},
            "secret": "df_4f0c9a1b2d3e4f5a_…",
        },
    )

    tenant: TenantOut
    key: KeyMadeOut


class TenantIn(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"id": "acme", "name": "ACME Ltd"}]})

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="A short lower-case name.")]
    name: Annotated[Text, Field(min_length=1, max_length=200)]
    region: Annotated[Text, Field(max_length=63)] = ""


@tenants.route("GET", "/v1/tenants", Permission.MANAGE_TENANTS, out=TenantsOut)
def list_tenants(parts: Parts) -> TenantsOut:
    """All tenants."""
    return TenantsOut(items=[TenantOut.of(view) for view in parts.access.tenants()])


@tenants.route("POST", "/v1/tenants", Permission.MANAGE_TENANTS, out=TenantMadeOut, status=201, problems=(Conflict,))
def make_tenant(body: TenantIn, parts: Parts) -> TenantMadeOut:
    """Make a tenant and its first key, an admin's, which is shown this once."""
    view = parts.access.make_tenant(body.id, body.name, body.region or parts.options.region)
    key, secret = parts.access.make_key(view.id, "first key", Role.ADMIN)
    return TenantMadeOut(tenant=TenantOut.of(view), key=KeyMadeOut(key=KeyOut.of(key), secret=secret))
