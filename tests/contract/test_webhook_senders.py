"""Webhook messages as senders take them and give them back, on every database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from webhook_driver import URL, at_once

from docfleet.domain.delivery import Answer, DeliveryState, Verdict, judge
from docfleet.errors import Conflict
from docfleet.ledger import Ledger
from docfleet.ledger.access import Access
from docfleet.ledger.webhook_values import ClaimedDelivery, WebhookView
from docfleet.ledger.webhooks import Webhooks

OK = Answer(200, 0.1)
FAILED = Answer(500, 0.1)


@pytest.fixture
def ledger(address: str | Path) -> Iterator[Ledger]:
    with Ledger.open(address, jitter=lambda: 0.0) as opened:
        Access(opened).ensure_tenant("acme", "acme")
        yield opened


@pytest.fixture
def webhooks(ledger: Ledger) -> Webhooks:
    return Webhooks(ledger)


def take(webhooks: Webhooks, webhook: WebhookView, most: int = 10, lease: float = 30.0) -> list[ClaimedDelivery]:
    return webhooks.claim_deliveries({webhook.id: most}, lease)


def finish(webhooks: Webhooks, delivery: ClaimedDelivery, answer: Answer) -> Verdict:
    verdict = judge(answer, delivery.attempts, 86_400, 0.5)
    webhooks.finish_delivery(delivery, answer, verdict)
    return verdict


def pass_time(ledger: Ledger, seconds: float) -> None:
    with ledger.unit_of_work() as session:
        session.execute(text("UPDATE delivery SET available_at = available_at - :s"), {"s": seconds})
        session.execute(text("UPDATE delivery SET finished_at = finished_at - :s"), {"s": seconds})


def test_a_message_is_held_by_one_sender_at_a_time(ledger: Ledger, webhooks: Webhooks) -> None:
    webhook = webhooks.add("acme", URL, b"sealed")
    message = webhooks.send_test("acme", webhook.id)
    assert [receiver.webhook_id for receiver in webhooks.due()] == [webhook.id]
    [claimed] = take(webhooks, webhook)
    assert (claimed.id, claimed.url, claimed.sealed_secret, claimed.attempts) == (message.id, URL, b"sealed", 1)
    assert take(webhooks, webhook) == []
    assert webhooks.due() == []
    # its sender was killed: the lease ends, the same message is sent again, and the first sender's word counts no more
    pass_time(ledger, 31)
    [again] = take(webhooks, webhook)
    assert (again.id, again.token, again.attempts) == (message.id, 2, 2)
    assert not webhooks.finish_delivery(claimed, OK, judge(OK, 1, 1, 0))
    assert webhooks.finish_delivery(again, OK, judge(OK, 1, 1, 0))
    assert webhooks.delivery("acme", message.id).state is DeliveryState.DELIVERED
    pass_time(ledger, 10_000)
    assert webhooks.due() == []


def test_two_senders_share(webhooks: Webhooks) -> None:
    webhook = webhooks.add("acme", URL, b"s")
    sent = {webhooks.send_test("acme", webhook.id).id for _ in range(40)}
    taken: list[str] = []

    def take_all() -> None:
        while claimed := take(webhooks, webhook, most=3):
            taken.extend(item.id for item in claimed)

    at_once(take_all, take_all, take_all)
    while claimed := take(webhooks, webhook):
        taken.extend(item.id for item in claimed)
    assert len(taken) == 40
    assert set(taken) == sent


def test_a_failed_message_comes_again_until_it_is_given_up(ledger: Ledger, webhooks: Webhooks) -> None:
    webhook = webhooks.add("acme", URL, b"s")
    message = webhooks.send_test("acme", webhook.id)
    waits = []
    while True:
        [claimed] = take(webhooks, webhook)
        verdict = finish(webhooks, claimed, FAILED)
        if verdict.state is DeliveryState.DEAD:
            break
        assert take(webhooks, webhook) == []
        waits.append(verdict.delay_seconds)
        pass_time(ledger, verdict.delay_seconds)
    assert sum(waits) == 86_400
    shown = webhooks.delivery("acme", message.id)
    assert (shown.state, shown.attempts, shown.last_status) == (DeliveryState.DEAD, 8, 500)
    log = webhooks.attempts("acme", message.id)
    assert len(log) == 8
    assert {attempt.error for attempt in log[:-1]} == {"answered 500"}
    again = webhooks.redeliver("acme", message.id)
    assert (again.id, again.state, again.attempts) == (message.id, DeliveryState.WAITING, 0)
    [claimed] = take(webhooks, webhook)
    with pytest.raises(Conflict):
        webhooks.redeliver("acme", message.id)
    assert finish(webhooks, claimed, OK).state is DeliveryState.DELIVERED


def test_gone_disables_the_webhook_and_gives_up_what_waits(webhooks: Webhooks) -> None:
    webhook = webhooks.add("acme", URL, b"s")
    other = webhooks.add("acme", URL, b"s")
    first, second = (webhooks.send_test("acme", webhook.id) for _ in range(2))
    [claimed] = take(webhooks, webhook, most=1)
    finish(webhooks, claimed, Answer(410, 0.1))
    assert webhooks.get("acme", webhook.id).disabled_at is not None
    assert "410" in webhooks.get("acme", webhook.id).cause
    assert {webhooks.delivery("acme", item.id).state for item in (first, second)} == {DeliveryState.DEAD}
    assert webhooks.get("acme", other.id).disabled_at is None
    for refused in (lambda: webhooks.send_test("acme", webhook.id), lambda: webhooks.redeliver("acme", first.id)):
        with pytest.raises(Conflict):
            refused()
    assert webhooks.enable("acme", webhook.id).disabled_at is None
    webhooks.redeliver("acme", second.id)
    assert [item.id for item in take(webhooks, webhook)] == [second.id]


def test_a_webhook_removed_while_a_message_is_under_way(webhooks: Webhooks) -> None:
    webhook = webhooks.add("acme", URL, b"s")
    webhooks.send_test("acme", webhook.id)
    [claimed] = take(webhooks, webhook)
    webhooks.remove("acme", webhook.id)
    assert not webhooks.finish_delivery(claimed, FAILED, judge(FAILED, 1, 86_400, 0.5))


def test_old_messages_are_forgotten(ledger: Ledger, webhooks: Webhooks) -> None:
    webhook = webhooks.add("acme", URL, b"s")
    for _ in range(3):
        webhooks.send_test("acme", webhook.id)
    for claimed in take(webhooks, webhook, most=2):
        finish(webhooks, claimed, OK)
    assert webhooks.prune(days=1) == 0
    pass_time(ledger, 2 * 86_400)
    assert webhooks.prune(days=1) == 2
    [left] = webhooks.deliveries("acme", webhook.id).items
    assert left.state is DeliveryState.WAITING
