"""Messages to real receivers over real sockets."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from sqlalchemy import text
from webhook_receivers import (
    Behaviour,
    Receiver,
    after,
    answer,
    dripping,
    endless,
    hanging_up,
    in_turn,
    receiver,
    rubbish,
)

from docfleet.client import verify_webhook
from docfleet.delivery.run import DeliveryOptions, DeliveryParts, run_delivery
from docfleet.delivery.sending import Sender
from docfleet.delivery.signing import new_secret, seal_secret
from docfleet.domain.delivery import Answer, DeliveryState
from docfleet.ledger import Ledger
from docfleet.ledger.access import Access
from docfleet.ledger.webhook_values import ClaimedDelivery, WebhookView
from docfleet.ledger.webhooks import Webhooks
from docfleet.store.encryption import MasterKey
from new_ledger import new_ledger

MASTER = MasterKey.generate()
SECRET = new_secret()
HOME = DeliveryOptions(timeout_seconds=2.0, allow_private=True, poll_seconds=0.05)
OPEN_NET = DeliveryOptions(timeout_seconds=2.0, poll_seconds=0.05)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(new_ledger(tmp_path / "ledger.db")) as opened:
        for tenant in ("acme", "other"):
            Access(opened).ensure_tenant(tenant, tenant)
        yield opened


@pytest.fixture
def webhooks(ledger: Ledger) -> Webhooks:
    return Webhooks(ledger)


def register(webhooks: Webhooks, where: Receiver | str, tenant: str = "acme") -> WebhookView:
    url = where if isinstance(where, str) else where.url
    return webhooks.add(tenant, url, seal_secret(MASTER, SECRET))


@contextmanager
def senders(webhooks: Webhooks, options: DeliveryOptions = HOME, trust: ssl.SSLContext | None = None) -> Iterator[None]:
    stop = threading.Event()
    parts = DeliveryParts(webhooks, MASTER, options, trust=trust)
    thread = threading.Thread(target=run_delivery, args=(parts, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def soon(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def hurry(ledger: Ledger) -> None:
    """What waits to be tried again is tried now."""
    with ledger.unit_of_work() as session:
        session.execute(text("UPDATE delivery SET available_at = 0 WHERE state = 'waiting'"))


def test_a_message_arrives_signed(webhooks: Webhooks) -> None:
    with receiver() as there:
        webhook = register(webhooks, there)
        with senders(webhooks):
            sent = webhooks.send_test("acme", webhook.id)
            [got] = there.wait_for(1)
            soon(lambda: webhooks.delivery("acme", sent.id).state is DeliveryState.DELIVERED)
    assert got.path == "/hook?x=1"
    assert got.headers["webhook-id"] == sent.id
    assert got.headers["content-type"] == "application/json"
    assert got.headers["host"] == f"localhost:{there.port}"
    assert got.data["type"] == "webhook.test"
    assert got.data["data"] == {"webhook": {"id": webhook.id}}
    assert verify_webhook(got.headers, got.body, SECRET) == got.data
    [tried] = webhooks.attempts("acme", sent.id)
    assert (tried.status, tried.error) == (204, "")


def test_a_receiver_that_fails_is_tried_again_under_the_same_id(ledger: Ledger, webhooks: Webhooks) -> None:
    with receiver(in_turn(answer(500), hanging_up, answer(200))) as there:
        webhook = register(webhooks, there)
        with senders(webhooks):
            sent = webhooks.send_test("acme", webhook.id)
            for count in (1, 2, 3):
                there.wait_for(count)
                soon(lambda count=count: len(webhooks.attempts("acme", sent.id)) == count)
                hurry(ledger)
            soon(lambda: webhooks.delivery("acme", sent.id).state is DeliveryState.DELIVERED)
    assert {got.headers["webhook-id"] for got in there.received} == {sent.id}
    assert len({got.body for got in there.received}) == 1
    assert [tried.status for tried in webhooks.attempts("acme", sent.id)] == [500, 0, 200]


def test_the_first_retry_comes_after_some_five_seconds(webhooks: Webhooks) -> None:
    with receiver(in_turn(answer(500), answer(200))) as there:
        webhook = register(webhooks, there)
        with senders(webhooks):
            webhooks.send_test("acme", webhook.id)
            there.wait_for(2)
    assert 3.5 < there.received[1].at - there.received[0].at < 8


def test_gone_disables_the_webhook(webhooks: Webhooks) -> None:
    with receiver(answer(410)) as there:
        webhook = register(webhooks, there)
        with senders(webhooks):
            webhooks.send_test("acme", webhook.id)
            soon(lambda: webhooks.get("acme", webhook.id).disabled_at is not None)
    assert len(there.received) == 1


def test_retry_after_is_honoured(webhooks: Webhooks) -> None:
    with receiver(answer(503, Retry_After="600")) as there:
        webhook = register(webhooks, there)
        with senders(webhooks):
            sent = webhooks.send_test("acme", webhook.id)
            soon(lambda: len(webhooks.attempts("acme", sent.id)) == 1)
    shown = webhooks.delivery("acme", sent.id)
    assert 590 < shown.available_at - shown.created_at < 620


def one_answer(url: str, options: DeliveryOptions = HOME, trust: ssl.SSLContext | None = None) -> Answer:
    message = ClaimedDelivery("msg_1", 1, "webhook.test", "{}", 1e9, 1, time.time(), "w", "acme", url, b"")
    return Sender(options.timeout_seconds, options.allow_private, trust).send(message, SECRET)


def test_redirects_are_not_followed() -> None:
    with receiver() as inside, receiver(answer(307, Location=f"http://127.0.0.1:{inside.port}/")) as there:
        assert one_answer(there.url).status == 307
        assert inside.received == []


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [(after(10, answer(200)), "timeout"), (dripping(0.2), "timeout"), (hanging_up, "broken_answer"),
     (rubbish, "broken_answer")],
)  # fmt: skip
def test_a_bad_receiver_costs_one_timeout_and_no_more(behaviour: Behaviour, code: str) -> None:
    with receiver(behaviour) as there:
        began = time.monotonic()
        got = one_answer(there.url)
        assert time.monotonic() - began < HOME.timeout_seconds + 1
    assert got.status == 0
    assert got.error.startswith(code + ":")


def test_an_endless_answer_is_an_answer() -> None:
    with receiver(endless) as there:
        got = one_answer(there.url)
    assert (got.status, got.error) == (200, "")
    assert got.seconds < 1


def test_nobody_listens() -> None:
    with receiver() as there:
        pass
    got = one_answer(there.url)
    assert got.error.startswith("no_connection:")
    assert one_answer("http://no-such-host.invalid:8080/").error.startswith("address_unknown:")


def test_no_certificate_no_message() -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with receiver(tls=server) as there:
        assert one_answer(there.url, trust=trust).status == 204
        assert one_answer(there.url.replace("localhost", "127.0.0.1"), trust=trust).error.startswith("no_connection:")
        assert one_answer(there.url).error.startswith("no_connection:")
    assert len(there.received) == 1


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "2130706433", "0x7f000001", "127.1", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
def test_this_machine_is_never_reached(host: str) -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    with receiver() as plain, receiver(tls=server) as secure:
        for scheme, port in (("http", plain.port), ("https", secure.port)):
            got = one_answer(f"{scheme}://{host}:{port}/", OPEN_NET)
            assert got.status == 0
            assert got.error.startswith("address_refused:")
    assert plain.received == secure.received == []


def test_a_public_name_that_points_here_is_refused_when_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address gives nothing away; only looking the name up does."""
    here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: here)
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.example").configure_cert(server)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with receiver(tls=server) as there:
        url = f"https://hooks.example:{there.port}/"
        assert one_answer(url, OPEN_NET, trust).error.startswith("address_refused: hooks.example is at 127.0.0.1")
        assert there.received == []


def test_a_name_that_answers_differently_the_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes to the address that was judged, not to what the name says by then."""
    real = socket.getaddrinfo
    asked: list[str] = []

    def rebinding(host: str, port: int, *args: object, **options: object) -> object:
        asked.append(host)
        if host != "rebinding.example":
            return real(host, port, *args, **options)  # type: ignore[arg-type]
        address = "192.0.2.1" if asked.count(host) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with receiver() as there:
        one_answer(f"http://rebinding.example:{there.port}/", DeliveryOptions(timeout_seconds=0.5, allow_private=True))
    assert asked.count("rebinding.example") == 1
    assert there.received == []


def test_a_slow_receiver_does_not_hold_up_another_tenant(webhooks: Webhooks) -> None:
    with receiver(after(1.5, answer(200))) as slow, receiver() as quick:
        crawling = [register(webhooks, slow) for _ in range(6)]
        fine = register(webhooks, quick, "other")
        for webhook in crawling:
            for _ in range(10):
                webhooks.send_test("acme", webhook.id)
        with senders(webhooks):
            soon(lambda: len(slow.received) >= 6)
            for _ in range(5):
                asked = time.time()
                webhooks.send_test("other", fine.id)
                count = len(quick.received) + 1
                assert quick.wait_for(count, 5)[-1].at - asked < 1.0


def test_many_messages_arrive_once_each(webhooks: Webhooks) -> None:
    with receiver() as there:
        hooks = [register(webhooks, there, tenant) for tenant in ("acme", "other")]
        sent = {webhooks.send_test(hook.tenant, hook.id).id for hook in hooks for _ in range(40)}
        with senders(webhooks), senders(webhooks):
            there.wait_for(80, 40)
            time.sleep(0.3)
    assert len(there.received) == 80
    assert {got.headers["webhook-id"] for got in there.received} == sent


PROGRAM = """
import sys, threading
from docfleet.delivery.run import DeliveryOptions, DeliveryParts, run_delivery
from docfleet.ledger import Ledger
from docfleet.ledger.webhooks import Webhooks
from docfleet.store.encryption import MasterKey
options = DeliveryOptions(timeout_seconds=20, allow_private=True, poll_seconds=0.05)
parts = DeliveryParts(Webhooks(Ledger.open(sys.argv[1])), MasterKey.from_base64(sys.argv[2]), options)
run_delivery(parts, threading.Event())
"""


def test_the_messages_of_a_killed_sender_are_sent_again(ledger: Ledger, webhooks: Webhooks, tmp_path: Path) -> None:
    with receiver(in_turn(after(10, answer(200)), answer(200))) as there:
        webhook = register(webhooks, there)
        sent = webhooks.send_test("acme", webhook.id)
        arguments = [str(tmp_path / "ledger.db"), MASTER.to_base64()]
        doomed = subprocess.Popen([sys.executable, "-c", textwrap.dedent(PROGRAM), *arguments])
        try:
            there.wait_for(1)
        finally:
            doomed.kill()
            doomed.wait()
        assert webhooks.delivery("acme", sent.id).state is DeliveryState.SENDING
        with ledger.unit_of_work() as session:
            session.execute(
                text("UPDATE delivery SET available_at = available_at - 50, lease_until = lease_until - 50")
            )
        with senders(webhooks):
            soon(lambda: webhooks.delivery("acme", sent.id).state is DeliveryState.DELIVERED)
    assert [got.headers["webhook-id"] for got in there.received] == [sent.id] * 2


def test_another_master_key_sends_nothing(webhooks: Webhooks) -> None:
    with receiver() as there:
        webhook = webhooks.add("acme", there.url, seal_secret(MasterKey.generate(), SECRET))
        with senders(webhooks):
            sent = webhooks.send_test("acme", webhook.id)
            soon(lambda: len(webhooks.attempts("acme", sent.id)) == 1)
    assert webhooks.attempts("acme", sent.id)[0].error.startswith("secret_unreadable:")
    assert there.received == []


def test_old_messages_are_forgotten_by_the_senders(ledger: Ledger, webhooks: Webhooks) -> None:
    with receiver() as there:
        webhook = register(webhooks, there)
        with senders(webhooks):
            webhooks.send_test("acme", webhook.id)
            soon(lambda: webhooks.deliveries("acme", webhook.id).items[0].state is DeliveryState.DELIVERED)
        with ledger.unit_of_work() as session:
            session.execute(text("UPDATE delivery SET finished_at = finished_at - 31 * 86400"))
        with senders(webhooks):
            soon(lambda: webhooks.deliveries("acme", webhook.id).items == ())
