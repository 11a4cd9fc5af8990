"""Batches through buckets: accepted durably, read shard by shard, ended one by one; real readers, no transport."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.cloud import documentai_v1
from google.longrunning import operations_pb2

from docfleet.documentai_format import from_json, merge
from docfleet.documentai_server.calls import CallFacts
from docfleet.documentai_server.jobs import ReadJob
from docfleet.documentai_server.long_running import LongRunning
from docfleet.documentai_server.operations import Operations, State
from docfleet.documentai_server.readers import ReaderOptions, Readers
from docfleet.documentai_server.refusals import Code, Refusal
from docfleet.documentai_server.types import Work
from docfleet.errors import UsageError
from documentai_batches import Parts, batch_request, blank_readers, parts_in, pdf

CALL = CallFacts("GetOperation")


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    """Text layers are read, nothing is recognised."""
    pool = Readers(ReaderOptions(settings={"reading": {"engine": "null"}}, readers=1))
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def blank() -> Iterator[Readers]:
    pool = blank_readers()
    yield pool
    pool.close()


def finished(parts: Parts, name: str, seconds: float = 60.0) -> Any:
    long_running = LongRunning(parts.operations, parts.batches.cancel)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = long_running.get(operations_pb2.GetOperationRequest(name=name), CALL)
        if found.done:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not done: {metadata_of(found)}")


def metadata_of(operation: Any) -> Any:
    return documentai_v1.BatchProcessMetadata.deserialize(operation.metadata.value)


def shards_of(parts: Parts, destination: str) -> list[dict[str, Any]]:
    bucket, _, prefix = destination.removeprefix("gs://").partition("/")
    return [json.loads(parts.buckets.get(bucket, one.name)) for one in parts.buckets.list(bucket, prefix + "/")]


def test_each_document_becomes_a_folder_of_shards(tmp_path: Path, readers: Readers) -> None:
    with parts_in(tmp_path, readers) as parts:
        parts.buckets.put("inbox", "a/one.pdf", pdf(1))
        parts.buckets.put("inbox", "a/five pages.v2.pdf", pdf(5))
        parts.batches.start()
        asked = batch_request(
            ["gs://inbox/a/one.pdf", "gs://inbox/a/five pages.v2.pdf"], sharding_config={"pages_per_shard": 2}
        )
        accepted = parts.accept(asked)
        done = finished(parts, accepted.name)
        told = metadata_of(done)
        assert told.state == documentai_v1.BatchProcessMetadata.State.SUCCEEDED
        assert done.response.Is(documentai_v1.BatchProcessResponse.pb().DESCRIPTOR)
        assert done.metadata.type_url == "type.googleapis.com/google.cloud.documentai.v1.BatchProcessMetadata"
        id = accepted.name.rpartition("/")[2]
        assert id.isdigit()
        assert accepted.name.split("/")[1].isdigit()
        statuses = told.individual_process_statuses
        assert [one.output_gcs_destination for one in statuses] == [f"gs://out/results/{id}/{n}" for n in (0, 1)]
        names = [one.name for one in parts.buckets.list("out")]
        assert names == [
            f"results/{id}/0/one-0.json",
            *(f"results/{id}/1/five pages.v2-{n}.json" for n in range(3)),
        ]
        shards = shards_of(parts, statuses[1].output_gcs_destination)
        assert [[page["pageNumber"] for page in one["pages"]] for one in shards] == [[1, 2], [3, 4], [5]]
        assert [one["shardInfo"].get("shardIndex", "0") for one in shards] == ["0", "1", "2"]
        assert {one["shardInfo"]["shardCount"] for one in shards} == {"3"}
        lengths = [len(one["text"]) for one in shards]
        assert [int(one["shardInfo"].get("textOffset", 0)) for one in shards] == [0, lengths[0], sum(lengths[:2])]
        assert [
            int(one["pages"][0]["layout"]["textAnchor"]["textSegments"][0].get("startIndex", 0)) for one in shards
        ] == [0, 0, 0]
        whole = merge([from_json(json.dumps(one).encode()) for one in shards])
        assert whole.text.count("second line\n") == 5
        assert [page.number for page in whole.pages] == [1, 2, 3, 4, 5]
        assert shards_of(parts, statuses[0].output_gcs_destination)[0]["shardInfo"] == {"shardCount": "1"}


def test_overlapping_shards_merge_to_the_same_document(tmp_path: Path, readers: Readers) -> None:
    with parts_in(tmp_path, readers) as parts:
        parts.buckets.put("inbox", "x.pdf", pdf(7, "some rather long text of a line on"))
        parts.batches.start()
        documents = {}
        for overlap in (0, 1, 2):
            config = {"pages_per_shard": 3, "pages_overlap": overlap}
            done = finished(parts, parts.accept(batch_request("gs://inbox/", sharding_config=config)).name)
            (status,) = metadata_of(done).individual_process_statuses
            documents[overlap] = shards_of(parts, status.output_gcs_destination)
        numbers = [[page["pageNumber"] for page in one["pages"]] for one in documents[1]]
        assert numbers == [[1, 2, 3], [3, 4, 5], [5, 6, 7]]
        assert len(documents[2]) == 5
        texts = {n: merge([from_json(json.dumps(one).encode()) for one in shards]) for n, shards in documents.items()}
        assert texts[0].text == texts[1].text == texts[2].text
        for shard in documents[2]:
            offset = int(shard["shardInfo"].get("textOffset", 0))
            assert texts[0].text[offset:].startswith(shard["text"])


def test_entities_are_counted_through_the_shards(readers: Readers) -> None:
    content = (Path(__file__).parents[2] / "samples" / "invoice-01.pdf").read_bytes()
    job = ReadJob(content=content, mime_type="application/pdf", work=Work.INVOICE, form="json")
    first = readers.read(job)
    second = readers.read(msgspec.structs.replace(job, first_entity=first.next_entity))
    ids = [
        int(id)
        for read in (first, second)
        for one in json.loads(read.body)["entities"]
        for id in (one["id"], *(part["id"] for part in one.get("properties", ())))
    ]
    assert ids == list(range(second.next_entity))
    assert second.next_entity == 2 * first.next_entity > 0


def test_a_mask_and_a_selection_hold_for_every_document(tmp_path: Path, readers: Readers) -> None:
    with parts_in(tmp_path, readers) as parts:
        parts.buckets.put("inbox", "x.pdf", pdf(6))
        parts.batches.start()
        request = batch_request(
            "gs://inbox/x", field_mask="text,pages.pageNumber,shardInfo", sharding_config={"pages_per_shard": 2}
        )
        request.process_options.individual_page_selector.pages.extend([2, 4, 6])
        done = finished(parts, parts.accept(request).name)
        (status,) = metadata_of(done).individual_process_statuses
        shards = shards_of(parts, status.output_gcs_destination)
        assert [one["pages"] for one in shards] == [[{"pageNumber": 2}, {"pageNumber": 4}], [{"pageNumber": 6}]]
        assert all(set(one) == {"text", "pages", "shardInfo"} for one in shards)


def test_bad_documents_have_their_own_status(tmp_path: Path, blank: Readers) -> None:
    with parts_in(tmp_path, blank) as parts:
        parts.buckets.put("inbox", "good.pdf", pdf(1))
        parts.buckets.put("inbox", "bad.pdf", b"no pdf at all")
        parts.batches.start()
        uris = ["gs://inbox/bad.pdf", "gs://inbox/good.pdf", "gs://inbox/none.pdf", "gs://nowhere/x.pdf"]
        done = finished(parts, parts.accept(batch_request(uris)).name)
        told = metadata_of(done)
        assert told.state == documentai_v1.BatchProcessMetadata.State.SUCCEEDED
        assert [one.status.code for one in told.individual_process_statuses] == [3, 0, 5, 5]
        assert [bool(one.output_gcs_destination) for one in told.individual_process_statuses] == [
            False,
            True,
            False,
            False,
        ]
        assert [one.input_gcs_source for one in told.individual_process_statuses] == uris
        all_bad = finished(parts, parts.accept(batch_request(["gs://inbox/bad.pdf"])).name)
        assert (all_bad.error.code, all_bad.error.message) == (3, "Failed to process all documents.")
        assert metadata_of(all_bad).state == documentai_v1.BatchProcessMetadata.State.FAILED


def test_a_document_of_too_many_pages_is_refused_alone(tmp_path: Path, blank: Readers) -> None:
    with parts_in(tmp_path, blank) as parts:
        parts.buckets.put("inbox", "long.pdf", pdf(501))
        parts.buckets.put("inbox", "most.pdf", pdf(500))
        parts.batches.start()
        done = finished(parts, parts.accept(batch_request("gs://inbox/")).name)
        first, second = metadata_of(done).individual_process_statuses
        assert (first.status.code, first.status.message) == (3, "Document pages exceed the limit: 500 got 501")
        assert second.status.code == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"sources": ["http://in/x.pdf"]}, Code.INVALID_ARGUMENT),
        ({"sources": ["gs://In_Bad!/x.pdf"]}, Code.INVALID_ARGUMENT),
        ({"sources": []}, Code.INVALID_ARGUMENT),
        ({"sources": "gs://inbox/none"}, Code.INVALID_ARGUMENT),
        ({"output": "results"}, Code.INVALID_ARGUMENT),
        ({"sharding_config": {"pages_per_shard": 2, "pages_overlap": 2}}, Code.INVALID_ARGUMENT),
        ({"field_mask": "pages.nothing"}, Code.INVALID_ARGUMENT),
        ({"processor": "projects/demo/locations/us/processors/none"}, Code.NOT_FOUND),
    ],
)
def test_what_cannot_be_is_refused_before_there_is_an_operation(
    tmp_path: Path, blank: Readers, change: dict[str, Any], code: Code
) -> None:
    with parts_in(tmp_path, blank) as parts:
        parts.buckets.put("inbox", "x.pdf", pdf(1))
        processor = change.pop("processor", None)
        request = batch_request(change.pop("sources", ["gs://inbox/x.pdf"]), **change)
        request.name = processor or request.name
        with pytest.raises(Refusal) as refused:
            parts.accept(request)
        assert refused.value.grpc_code is code
        assert parts.operations.list("demo", "us", "", 10) == []


def test_only_so_many_batches_are_at_work_in_a_location(tmp_path: Path, blank: Readers) -> None:
    with parts_in(tmp_path, blank, limit=2) as parts:
        parts.buckets.put("inbox", "x.pdf", pdf(1))
        request = batch_request(["gs://inbox/x.pdf"])
        names = [parts.accept(request).name for _ in range(2)]
        with pytest.raises(Refusal) as refused:
            parts.accept(request)
        assert refused.value.grpc_code is Code.RESOURCE_EXHAUSTED
        parts.accept(request, project="other")
        parts.batches.start()
        for name in names:
            finished(parts, name)
        parts.accept(request)


def test_the_batch_says_waiting_then_running(tmp_path: Path, blank: Readers) -> None:
    with parts_in(tmp_path, blank) as parts:
        parts.buckets.put("inbox", "x.pdf", pdf(1))
        accepted = parts.accept(batch_request(["gs://inbox/x.pdf"]))
        assert metadata_of(accepted).state == documentai_v1.BatchProcessMetadata.State.WAITING
        parts.reader.open.clear()
        parts.batches.start()
        id = accepted.name.rpartition("/")[2]
        until = time.monotonic() + 10
        while parts.operations.get("demo", "us", id).state is State.WAITING and time.monotonic() < until:  # type: ignore[union-attr]
            time.sleep(0.01)
        assert parts.operations.get("demo", "us", id).state is State.RUNNING  # type: ignore[union-attr]
        parts.reader.open.set()
        finished(parts, accepted.name)


def test_a_small_batch_does_not_wait_for_a_large_one(tmp_path: Path, blank: Readers) -> None:
    with parts_in(tmp_path, blank, workers=1) as parts:
        for n in range(30):
            parts.buckets.put("inbox", f"many/{n:02}.pdf", pdf(1))
        parts.buckets.put("inbox", "few/x.pdf", pdf(1))
        large = parts.accept(batch_request("gs://inbox/many/"))
        small = parts.accept(batch_request("gs://inbox/few/"))
        parts.batches.start()
        finished(parts, small.name)
        items = parts.operations.items(large.name.rpartition("/")[2])
        assert sum(one.ended for one in items) < 15
        finished(parts, large.name)


def test_a_cancelled_batch_stops_and_keeps_what_had_ended(tmp_path: Path, blank: Readers) -> None:
    with parts_in(tmp_path, blank, workers=1) as parts:
        for n in range(5):
            parts.buckets.put("inbox", f"{n}.pdf", pdf(1))
        accepted = parts.accept(batch_request("gs://inbox/"))
        id = accepted.name.rpartition("/")[2]
        parts.batches.start()
        until = time.monotonic() + 30
        while not parts.operations.items(id)[0].ended and time.monotonic() < until:
            time.sleep(0.005)
        parts.reader.open.clear()
        LongRunning(parts.operations, parts.batches.cancel).cancel(
            operations_pb2.CancelOperationRequest(name=accepted.name), CALL
        )
        parts.reader.open.set()
        done = finished(parts, accepted.name)
        assert done.error.code == 1
        told = metadata_of(done)
        assert told.state == documentai_v1.BatchProcessMetadata.State.CANCELLED
        codes = [one.status.code for one in told.individual_process_statuses]
        assert codes[0] == 0
        assert codes[-1] == 1
        assert set(codes) == {0, 1}
        written = {one.name.split("/")[2] for one in parts.buckets.list("out")}
        assert {str(n) for n, code in enumerate(codes) if code == 0} <= written


def test_a_stop_leaves_the_rest_for_the_next_start(tmp_path: Path, blank: Readers) -> None:
    with parts_in(tmp_path, blank, workers=2) as parts:
        for n in range(6):
            parts.buckets.put("inbox", f"{n}.pdf", pdf(1))
        parts.reader.open.clear()
        name = parts.accept(batch_request("gs://inbox/")).name
        parts.batches.start()
        until = time.monotonic() + 10
        while len(parts.reader.asked) < 2 and time.monotonic() < until:
            time.sleep(0.01)
    with parts_in(tmp_path, blank) as again:
        items = again.operations.items(name.rpartition("/")[2])
        left = [one for one in items if not one.ended]
        assert len(left) >= 4
        assert {one.tries for one in left} == {0}
        again.batches.start()
        done = finished(again, name)
        assert {one.status.code for one in metadata_of(done).individual_process_statuses} == {0}


def test_a_document_that_takes_the_server_down_again_and_again_is_given_up(tmp_path: Path, blank: Readers) -> None:
    with parts_in(tmp_path, blank) as parts:
        parts.buckets.put("inbox", "x.pdf", pdf(1))
        name = parts.accept(batch_request(["gs://inbox/x.pdf"])).name
        for _ in range(5):
            assert parts.operations.take(set()) is not None  # and nothing more: it died
        parts.batches.start()
        (status,) = metadata_of(finished(parts, name)).individual_process_statuses
        assert status.status.code == 13
        assert parts.reader.asked == []


def test_the_file_has_one_owner(tmp_path: Path) -> None:
    first = Operations(tmp_path / "operations.sqlite")
    with pytest.raises(UsageError):
        Operations(tmp_path / "operations.sqlite")
    first.close()
    Operations(tmp_path / "operations.sqlite").close()


def test_operations_are_listed_deleted_and_waited_for(tmp_path: Path, blank: Readers) -> None:
    with parts_in(tmp_path, blank) as parts:
        parts.buckets.put("inbox", "x.pdf", pdf(1))
        names = [parts.accept(batch_request(["gs://inbox/x.pdf"])).name for _ in range(5)]
        methods = LongRunning(parts.operations, parts.batches.cancel)
        listed: list[str] = []
        token = ""
        while True:
            request = operations_pb2.ListOperationsRequest(
                name="projects/demo/locations/us", page_size=2, page_token=token
            )
            answer = methods.list(request, CALL)
            listed += [one.name for one in answer.operations]
            token = answer.next_page_token
            if not token:
                break
        assert listed == names[::-1]
        with pytest.raises(Refusal) as refused:
            methods.delete(operations_pb2.DeleteOperationRequest(name=names[0]), CALL)
        assert refused.value.grpc_code is Code.FAILED_PRECONDITION
        waiting = operations_pb2.WaitOperationRequest(name=names[0])
        waiting.timeout.FromMilliseconds(100)
        assert not methods.wait(waiting, CALL).done
        parts.batches.start()
        waiting.timeout.FromSeconds(30)
        assert methods.wait(waiting, CALL).done
        methods.delete(operations_pb2.DeleteOperationRequest(name=names[0]), CALL)
        with pytest.raises(Refusal) as refused:
            methods.get(operations_pb2.GetOperationRequest(name=names[0]), CALL)
        assert refused.value.grpc_code is Code.NOT_FOUND
