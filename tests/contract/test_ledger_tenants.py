"""More tenants than are looked at in one go: each has its turn."""

from __future__ import annotations

import pytest
from sqlalchemy import Table, text

from docfleet.domain.urgency import Urgency
from docfleet.ledger import Ledger, window
from docfleet.ledger.rows import DOCUMENT, SLICE
from service_driver import submit

TENANTS = 3000


def crowd(ledger: Ledger, tenants: int, each: int) -> None:
    """So many tenants with a document of so many slices each; the first slices came before all the second ones."""
    first = submit(ledger, tenant="t")
    number = "lpad(n::text, 5, '0')" if ledger.engine.dialect.name == "postgresql" else "printf('%05d', n)"
    given = {"tenants": tenants, "each": each, "first": first}
    numbers = "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :tenants)"
    with ledger.unit_of_work() as session:
        fresh, kept = _columns(DOCUMENT, "id", "options_digest", "tenant_id")
        session.execute(
            text(
                f"{numbers} INSERT INTO document ({fresh}, {kept}) SELECT {number}, {number}, 't' || {number}, {kept} "
                "FROM document, number WHERE id = :first"
            ),
            given,
        )
        fresh, kept = _columns(SLICE, "id", "document_id", "tenant_id", "first_page", "last_page", "priority")
        fresh = fresh.removeprefix("id, ")
        session.execute(
            text(
                f"{numbers}, part(m) AS (SELECT 1 UNION ALL SELECT m + 1 FROM part WHERE m < :each) "
                f"INSERT INTO slice ({fresh}, {kept}) SELECT {number}, 't' || {number}, m, m, m, {kept} "
                "FROM slice, number, part"
            ),
            given,
        )
        session.execute(text("UPDATE slice SET state = 'cancelled' WHERE tenant_id = 't'"))
        session.execute(text("ANALYZE"))


def _columns(table: Table, *fresh: str) -> tuple[str, str]:
    return ", ".join(fresh), ", ".join(column.name for column in table.columns if column.name not in fresh)


def served(ledger: Ledger, looks: int, room: int) -> list[str]:
    """The tenants of what is dispatched; all of it is done before the next look."""
    tenants = []
    for _ in range(looks):
        chosen = ledger.window("pdf", room)
        tenants += [one.tenant for one in chosen]
        with ledger.unit_of_work() as session:
            for one in chosen:
                session.execute(text("UPDATE slice SET state = 'cancelled' WHERE id = :id"), {"id": one.slice_id})
    return tenants


@pytest.mark.slow
def test_three_thousand_tenants_are_all_served(ledger: Ledger) -> None:
    crowd(ledger, TENANTS, each=4)
    tenants = served(ledger, looks=7, room=500)
    assert len(tenants) == 3500
    assert len(set(tenants)) == TENANTS, "after little more than one of each everyone had some"


def test_those_left_at_the_end_of_a_round_get_no_round_of_their_own(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "MOST_TENANTS", 10)
    crowd(ledger, 11, each=40)
    tenants = served(ledger, looks=40, room=5)
    counts = {tenant: tenants.count(tenant) for tenant in set(tenants)}
    assert len(counts) == 11
    assert max(counts.values()) <= 3 * min(counts.values()), counts


def test_urgent_work_of_few_does_not_wait_for_the_turn_of_many(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "MOST_TENANTS", 10)
    crowd(ledger, 40, each=3)
    served(ledger, looks=3, room=5)
    urgent = submit(ledger, tenant="a", urgency=Urgency.CRITICAL)
    assert ledger.window("pdf", 3)[0].document_id == urgent
