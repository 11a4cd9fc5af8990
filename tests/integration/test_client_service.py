"""The Python client against the real API."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client_service import Service, pdf, service
from docfleet.client import Client
from docfleet.errors import (
    BadRequest,
    Conflict,
    Empty,
    FormatNotMade,
    Gone,
    IdempotencyMismatch,
    NotFound,
    NotReady,
    SourceChanged,
    SourceUnreadable,
    Unauthenticated,
    UnsupportedType,
    UsageError,
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Service:
    with service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def client(served: Service) -> Client:
    served.read()  # whatever an earlier test left
    return served.client(retry_seconds=5.0)


def test_submit_wait_and_read_the_results(served: Service, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "Rechnung ä.pdf"
    path.write_bytes(pdf("first"))
    document = client.submit(path, labels={"customer": "47=11", "who": "Åsa"}, priority="high", formats=["json", "txt"])
    assert (document.state, document.name, document.facts.priority) == ("received", "Rechnung ä.pdf", "high")
    assert document.facts.labels == {"customer": "47=11", "who": "Åsa"}
    assert document.facts.options.formats == ["json", "txt"]
    with pytest.raises(NotReady):
        document.results()
    with pytest.raises(TimeoutError):
        document.wait(timeout=1)
    threading.Timer(0.3, served.read).start()
    asked = time.monotonic()
    assert document.wait(timeout=20).succeeded
    assert time.monotonic() - asked < 5
    assert document.text() == "words of " + pdf("first").decode()
    assert [page.state for page in document.pages()] == ["read"]
    with pytest.raises(FormatNotMade):
        document.result("hocr")


def test_bytes_and_open_files_are_taken_too(client: Client, tmp_path: Path) -> None:
    assert client.submit(pdf("bytes"), name="a.pdf").name == "a.pdf"
    path = tmp_path / "b.pdf"
    path.write_bytes(b"junk" + pdf("file"))
    with path.open("rb") as file:
        file.seek(4)
        document = client.submit(file)
    assert (document.name, document.facts.size_bytes) == ("b.pdf", len(pdf("file")))


def test_the_same_key_is_the_same_document(client: Client) -> None:
    first = client.submit(pdf("key"), idempotency_key="k-1")
    assert client.submit(pdf("key"), idempotency_key="k-1").id == first.id
    with pytest.raises(IdempotencyMismatch):
        client.submit(pdf("other"), idempotency_key="k-1")


def test_what_refuses_is_raised_by_its_code(client: Client, served: Service, tmp_path: Path) -> None:
    with pytest.raises(Empty):
        client.submit(b"", name="a.pdf")
    with pytest.raises(UnsupportedType):
        client.submit(b"PK\x03\x04" + bytes(100), name="a.zip")
    with pytest.raises(BadRequest):
        client.submit(pdf(), formats=["docx"])
    with pytest.raises(SourceUnreadable, match="There is no file"):
        client.submit(tmp_path / "missing.pdf")
    with pytest.raises(NotFound):
        client.document("0" * 24)
    with pytest.raises(NotFound):
        client.document("../workers?x=")
    with pytest.raises(UsageError):
        client.submit(pdf(), deadline=datetime(2030, 1, 1))
    with Client(served.url, "df_nobody_knows") as stranger, pytest.raises(Unauthenticated) as told:
        stranger.me()
    assert told.value.status == 401
    assert told.value.remedy


def test_a_file_that_grows_while_it_is_sent_is_not_accepted(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "growing.pdf"
    path.write_bytes(pdf() + bytes(400_000))

    def grow(sent: int) -> None:
        with path.open("ab") as file:
            file.write(b"more")

    before = {document.id for document in client.documents()}
    with pytest.raises(SourceChanged):
        client.submit(path, on_sent=grow)
    assert {document.id for document in client.documents()} == before


def test_download_goes_on_where_it_broke_off(served: Service, client: Client, tmp_path: Path) -> None:
    document = client.submit(pdf("resume"))
    served.read()
    document.wait(5)
    whole = document.result("txt")
    [file] = [file for file in document.results() if file.format == "txt"]
    (tmp_path / f".text.txt.{file.sha256[:16]}.part").write_bytes(whole[:5])
    target = document.download("txt", tmp_path / "text.txt")
    assert target.read_bytes() == whole
    (tmp_path / f".text.txt.{file.sha256[:16]}.part").write_bytes(b"rubbish")
    assert document.download("txt", tmp_path / "text.txt").read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_all_results_as_a_folder(served: Service, client: Client, tmp_path: Path) -> None:
    document = client.submit(pdf("folder"))
    served.read()
    document.wait(5).download_all(tmp_path)
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert found == ["document.json", "document.txt", "outcome.json", "tables/page-001-table-1.csv"]
    assert document.result("csv") == b"PK-not-really"


def test_a_batch_and_its_documents_as_they_end(served: Service, client: Client) -> None:
    with client.open_batch("march", {"month": "3"}) as batch:
        documents = [batch.submit(pdf(f"march {n}"), name=f"{n}.pdf") for n in range(12)]
    assert batch.facts.sealed_at is not None
    with served.reading():
        seen = list(batch.as_finished(timeout=30))
    assert {document.id for document in seen} == {document.id for document in documents}
    assert all(document.succeeded for document in seen)
    assert batch.refresh().facts.documents == {"succeeded": 12}
    assert batch.facts.finished_at is not None
    assert {document.id for document in batch.documents(state="succeeded", limit=5)} == {d.id for d in documents}
    assert client.batch(batch.id).facts.name == "march"
    assert batch.id in {one.id for one in client.batches()}


def test_documents_of_no_batch_as_they_end(served: Service, client: Client) -> None:
    documents = [client.submit(pdf(f"single {n}")) for n in range(5)]
    with served.reading():
        assert {one.id for one in client.as_finished(documents, timeout=30)} == {one.id for one in documents}
    late = client.submit(pdf("nobody reads this"))
    asked = time.monotonic()
    with pytest.raises(TimeoutError):
        list(client.as_finished([late], timeout=1.0))
    assert time.monotonic() - asked < 4


def test_a_batch_that_does_not_end_in_time(client: Client) -> None:
    with client.open_batch("slow") as batch:
        for n in range(3):
            batch.submit(pdf(f"slow {n}"))
    asked = time.monotonic()
    with pytest.raises(TimeoutError):
        list(batch.as_finished(timeout=1.0))
    assert time.monotonic() - asked < 4


def test_events_from_the_first_to_the_end(served: Service, client: Client) -> None:
    document = client.submit(pdf("events"))
    threading.Timer(0.4, served.read).start()
    told = list(document.events())
    assert told[-1].to_state == "succeeded"
    assert told[-1].ends_document
    assert told[0].to_state == "received"
    assert len({event.id for event in told}) == len(told)
    assert list(document.events(after=told[0].id)) == told[1:]


def test_submit_many_tells_of_each(client: Client) -> None:
    sources = [pdf(f"many {n}") for n in range(10)] + [b"plain words, no document at all"]
    told = list(client.submit_many(sources, concurrency=3, priority="bulk"))
    assert sorted(one.source for one in told) == sorted(sources)
    assert [type(one.error) for one in told if one.document is None] == [UnsupportedType]
    assert {one.document.facts.priority for one in told if one.document} == {"bulk"}


def test_cancel_delete_and_change(served: Service, client: Client) -> None:
    document = client.submit(pdf("cancel me"))
    soon = datetime.now(UTC) + timedelta(hours=1)
    assert document.reprioritise("critical", deadline=soon).facts.priority == "critical"
    with pytest.raises(Conflict):
        document.delete()
    assert document.cancel().state == "cancelled"
    assert document.cancel().state == "cancelled"
    document.delete()
    document.delete()
    with pytest.raises(Gone):
        document.refresh()
    read = client.submit(pdf("too late to cancel"))
    served.read()
    with pytest.raises(Conflict):
        read.cancel()


def test_what_failed_is_told_and_tried_again(served: Service, client: Client) -> None:
    document = client.submit(pdf("broken"))
    served.fail("damaged")
    assert document.wait(5).state == "failed"
    assert (document.facts.code, bool(document.facts.remedy)) == ("damaged", True)
    [letter] = [one for one in client.dead_letters.list("damaged") if one.document_id == document.id]
    assert letter.step == "plan"
    assert [group.code for group in client.dead_letters.groups()] == ["damaged"]
    assert client.dead_letters.retry(code="damaged") == 1
    assert document.refresh().state == "received"
    served.fail("damaged")
    assert document.wait(5).retry().state == "received"
    served.read()
    assert document.wait(5).succeeded
    with pytest.raises(Conflict):
        document.retry()


def test_the_same_bytes_are_read_once(served: Service, client: Client) -> None:
    first = client.submit(pdf("twice"))
    served.read()
    second = client.submit(pdf("twice"), name="again.pdf")
    assert second.facts.duplicate_of == first.id
    assert second.wait(5).text() == first.refresh().text()
    third = client.submit(pdf("twice"), reuse=False)
    assert not third.facts.duplicate_of


def test_who_am_i(client: Client) -> None:
    me = client.me()
    assert (me.tenant, me.role) == ("acme", "admin")


def test_webhooks(client: Client) -> None:
    made = client.webhooks.add("https://example.com/docfleet", ["document.succeeded"])
    assert (made.secret or "").startswith("whsec_")
    assert client.webhooks.get(made.id).event_types == ["document.succeeded"]
    assert client.webhooks.get(made.id).secret is None
    client.webhooks.test(made.id)
    [delivery] = client.webhooks.deliveries(made.id)
    assert delivery.event_type == "webhook.test"
    assert made.id in {one.id for one in client.webhooks.list()}
    client.webhooks.remove(made.id)
    with pytest.raises(NotFound):
        client.webhooks.get(made.id)
