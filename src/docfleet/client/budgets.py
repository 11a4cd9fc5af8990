"""What reading may cost."""

from __future__ import annotations

import builtins

import msgspec

from docfleet.client.connection import Connection, decoded
from docfleet.client.values import Budget

_PATH = "/v1/budgets"


class _Budgets(msgspec.Struct, frozen=True):
    items: list[Budget] = []


class Budgets:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, month: str | None = None) -> builtins.list[Budget]:
        """How each stands in a month ("2026-11"; default: the present one)."""
        return decoded(self._connection.request("GET", _PATH, params={"month": month}), _Budgets).items

    def set(
        self,
        limit_usd: float,
        policy: str,
        *,
        engine: str | None = None,
        month: str | None = None,
        warn_percent: int | None = None,
    ) -> Budget:
        """Sets a limit for an engine (default: all together) and a month (default: every one), in force at once.

        `policy`: "stop", "degrade" or "queue". Raises `Conflict` for what whoever operates the service has set.
        """
        said = {
            "limit_usd": limit_usd, "policy": policy, "engine": engine, "month": month, "warn_percent": warn_percent,
        }  # fmt: skip
        given = {name: value for name, value in said.items() if value is not None}
        response = self._connection.request("PUT", _PATH, body=lambda: {"json": given}, repeatable=True)
        return decoded(response, Budget)

    def remove(self, *, engine: str | None = None, month: str | None = None) -> None:
        """Raises `NotFound` when there is none, `Conflict` as `set`."""
        self._connection.request("DELETE", _PATH, params={"engine": engine, "month": month})
