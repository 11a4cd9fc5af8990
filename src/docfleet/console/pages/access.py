"""Keys of the tenant; for the system's tenant the tenants, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nicegui import ui

from docfleet.console.frame import console_page
from docfleet.console.pages.access_dialogs import ask_for_key, ask_for_tenant, show_secret
from docfleet.console.parts import NONE, ago, confirm, empty_state, moment, panel, table, tag
from docfleet.console.session import Session
from docfleet.domain.access import Permission

_ROWS = 25
_REVOKE = """
<q-td :props="props" class="stick">
  <q-btn v-if="props.row.works" flat dense no-caps label="Revoke" class="quiet"
    :aria-label="'Revoke ' + props.row.name" @click="$parent.$emit('revoke', props.row.id)" />
</q-td>
"""
_STATE = """
<q-td :props="props"><span :class="'chip tone-' + props.row.tone">{{ props.row.state }}</span></q-td>
"""


@console_page("/access", "Access", needs=Permission.READ_KEYS, icon="key", order=90, shortcut="a")
async def access(session: Session) -> None:
    await _Keys(session).refresh()
    if session.may(Permission.MANAGE_TENANTS):
        await _Tenants(session).refresh()


class _Keys:
    """The table of keys, and what may be done with them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._may_manage = session.may(Permission.MANAGE_KEYS)
        columns = {
            "name": "Name", "role": "Role", "scopes": "Narrowed to", "state": "State", "used": "Last used",
            "expires": "Expires (UTC)", "created": "Made (UTC)",
        }  # fmt: skip
        with panel():
            with tag("div", classes="panel-head"):
                tag("h2", f"Keys of the tenant {session.tenant}")
                if self._may_manage:
                    ui.button("New key", icon="add", on_click=self._new).props("unelevated no-caps")
            self._table = table({**columns, "act": ""} if self._may_manage else columns)
            self._table.add_slot("body-cell-state", _STATE)
            self._table.add_slot("body-cell-act", _REVOKE)
            self._table.on("revoke", self._revoke)
            self._table.props["rows-per-page-options"] = [_ROWS, 100, 0]
            self._table.pagination = {"rowsPerPage": _ROWS}
            self._nothing = empty_state("No keys", "Nobody may use this tenant's documents yet.", symbol="key")

    async def refresh(self) -> None:
        said = await self._session.api.get("/v1/keys")
        self._table.rows = [self._row(key) for key in said["items"]]
        self._table.props["hide-pagination"] = len(said["items"]) <= _ROWS
        self._nothing.set_visibility(not said["items"])

    def _row(self, key: Mapping[str, Any]) -> dict[str, Any]:
        is_over = key["expires_at"] is not None and ago(key["expires_at"]).endswith("ago")
        state = "revoked" if key["revoked_at"] else "expired" if is_over else "works"
        own = " (yours)" if key["id"] == self._session.key_id else ""
        return {
            "id": key["id"],
            "name": f"{key['name']}{own}",
            "role": key["role"],
            "scopes": ", ".join(key["scopes"]) or NONE,
            "state": state,
            "tone": "good" if state == "works" else "quiet",
            "works": state == "works",
            "used": ago(key["last_used_at"]) if key["last_used_at"] else "never",
            "expires": moment(key["expires_at"]) if key["expires_at"] else "never",
            "created": moment(key["created_at"]),
        }

    async def _new(self) -> None:
        async def make(body: Mapping[str, Any]) -> None:
            made = await self._session.api.post("/v1/keys", body)
            show_secret(f"The key “{made['key']['name']}”", made["secret"])
            await self.refresh()

        ask_for_key(self._session, make)

    async def _revoke(self, event: Any) -> None:
        key = next((row for row in self._table.rows if row["id"] == event.args), None)
        if key is None:
            return

        async def revoke() -> None:
            await self._session.api.delete(f"/v1/keys/{key['id']}")
            self._session.say("The key is revoked.")
            await self.refresh()

        text = f"Whoever uses the key “{key['name']}” is refused within five seconds. This cannot be taken back."
        if key["id"] == self._session.key_id:
            text += " You are signed in with it: you will be signed out."
        confirm("Revoke this key?", text, "Revoke", revoke)


class _Tenants:
    def __init__(self, session: Session) -> None:
        self._session = session
        with panel():
            with tag("div", classes="panel-head"):
                tag("h2", "Tenants")
                ui.button("New tenant", icon="add", on_click=self._new).props("unelevated no-caps")
            self._table = table(
                {"id": "Id", "name": "Name", "region": "Region", "state": "State", "created": "Made (UTC)"}
            )
            self._table.add_slot("body-cell-state", _STATE)

    async def refresh(self) -> None:
        said = await self._session.api.get("/v1/tenants")
        self._table.rows = [
            {
                "id": one["id"],
                "name": one["name"],
                "region": one["region"] or NONE,
                "state": "disabled" if one["disabled_at"] else "works",
                "tone": "quiet" if one["disabled_at"] else "good",
                "created": moment(one["created_at"]),
            }
            for one in said["items"]
        ]

    async def _new(self) -> None:
        async def make(body: Mapping[str, Any]) -> None:
            made = await self._session.api.post("/v1/tenants", body)
            show_secret(f"The first key of {made['tenant']['name']}, an admin's", made["key"]["secret"])
            await self.refresh()

        ask_for_tenant(make)
