"""Dialogs of the page Access: a new key, a new tenant, and a secret that is shown once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from nicegui import ui

from docfleet.console.parts import open_dialog, problem_banner, tag
from docfleet.console.problems import ApiProblem
from docfleet.console.session import Session
from docfleet.domain.access import Permission, Role, is_allowed

Make = Callable[[Mapping[str, Any]], Awaitable[None]]
_ROLES = {
    Role.VIEWER: "reads documents",
    Role.SUBMITTER: "submits, reads, deletes documents; webhooks",
    Role.OPERATOR: "the same, dead letters, fleet, costs",
    Role.AUDITOR: "lists documents without their content; records, costs, keys",
    Role.ADMIN: "everything, keys and budgets among it",
}
_DAYS = {0: "never", 30: "in 30 days", 90: "in 90 days", 365: "in a year"}
_COPY = """(event) => {
  const button = event.currentTarget;
  const field = button.closest(".secret").querySelector("input");
  const done = () => (button.querySelector(".block").textContent = "Copied");
  field.select();
  if (navigator.clipboard) navigator.clipboard.writeText(field.value).then(done);
  else if (document.execCommand("copy")) done();
}"""


def ask_for_key(session: Session, make: Make) -> None:
    """Only what the one who asks may give away is offered."""
    roles = {role.value: f"{role}: {told}" for role, told in _ROLES.items() if _may_give(session, role)}
    with open_dialog("New key") as dialog:
        problem = problem_banner()
        problem.set_visibility(False)
        name = ui.input("Name", placeholder="scanner at the front desk").props(
            "outlined dense stack-label maxlength=200"
        )
        role = ui.select(roles, label="Role", value=next(iter(roles), None)).props("outlined dense options-dense")
        scopes = ui.select(
            [permission.value for permission in Permission if session.may(permission)],
            label="Narrowed to (nothing: all of its role)", multiple=True, value=[],
        ).props("outlined dense options-dense use-chips")  # fmt: skip
        days = ui.select(_DAYS, label="Expires", value=0).props("outlined dense options-dense")

        async def go() -> None:
            body: dict[str, Any] = {
                "name": (name.value or "").strip(),
                "role": role.value,
                "scopes": scopes.value or [],
            }
            if days.value:
                body["expires_at"] = (datetime.now(UTC) + timedelta(days=days.value)).isoformat()
            await _send(body, make, dialog, problem)

        _buttons(dialog, "Make key", go)
    dialog.on("show", lambda: name.run_method("focus"))


def ask_for_tenant(make: Make) -> None:
    with open_dialog("New tenant") as dialog:
        problem = problem_banner()
        problem.set_visibility(False)
        id = ui.input("Id", placeholder="acme").props(
            'outlined dense stack-label maxlength=63 hint="lower-case letters, digits and hyphens"'
        )
        name = ui.input("Name", placeholder="ACME Ltd").props("outlined dense stack-label maxlength=200")

        async def go() -> None:
            body = {"id": (id.value or "").strip(), "name": (name.value or "").strip()}
            await _send(body, make, dialog, problem)

        _buttons(dialog, "Make tenant", go)
    dialog.on("show", lambda: id.run_method("focus"))


def show_secret(title: str, secret: str) -> None:
    """Until the dialog is closed, and never again."""
    with open_dialog(title, persistent=True) as dialog:
        tag("p", "Copy it now. It is kept nowhere and cannot be shown again.")
        with tag("div", classes="secret"):
            field = tag("input").props('readonly spellcheck=false aria-label="API key" data-secret')
            field.props["value"] = secret
            ui.button("Copy").props("unelevated no-caps").on("click", js_handler=_COPY)
        with tag("div", classes="dialog-buttons"):
            ui.button("I have it", on_click=dialog.close).props("flat no-caps")


def _buttons(dialog: ui.dialog, do: str, go: Callable[[], Awaitable[None]]) -> None:
    with tag("div", classes="dialog-buttons"):
        ui.button("Cancel", on_click=dialog.close).props("flat no-caps").classes("quiet")
        ui.button(do, on_click=go).props("unelevated no-caps")


async def _send(body: Mapping[str, Any], make: Make, dialog: ui.dialog, problem: Any) -> None:
    """What the API refuses stays in the dialog, with what was typed."""
    try:
        await make(body)
    except ApiProblem as refused:
        if refused.is_signed_out:
            raise
        problem.say(refused.detail or refused.title)
        problem.set_visibility(True)
        return
    dialog.close()


def _may_give(session: Session, role: Role) -> bool:
    """As the API decides: a key makes none that could do more than itself."""
    return all(session.may(permission) for permission in Permission if is_allowed(session.tenant, role, (), permission))
