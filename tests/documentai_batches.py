"""The parts behind BatchProcessDocuments put together without a transport."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from google.cloud import documentai_v1

from docfleet.documentai_server.batch import Batches, BatchLimits, preparing
from docfleet.documentai_server.calls import CallFacts
from docfleet.documentai_server.catalog import Catalog
from docfleet.documentai_server.jobs import Read, ReadJob
from docfleet.documentai_server.operations import Operations
from docfleet.documentai_server.processing import Processing
from docfleet.documentai_server.readers import ReaderOptions, Readers
from docfleet.documentai_server.storage import Buckets, StorageOptions
from docfleet.engines.documentai.facts import read_facts

PROCESSOR = "projects/demo/locations/us/processors/ocr"


def pdf(pages: int, text: str = "") -> bytes:
    """A PDF of so many small pages with a line of text each."""
    import io

    import pikepdf

    made = pikepdf.new()
    font = made.make_indirect(
        pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
    )
    for number in range(1, pages + 1):
        made.add_blank_page(page_size=(300, 200))
        page = made.pages[-1]
        page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
        words = f"{text or 'Invoice'} page number {number}"
        page.Contents = made.make_stream(f"BT /F1 14 Tf 20 150 Td ({words}) Tj 0 -30 Td (second line) Tj ET".encode())
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def batch_request(
    sources: list[str] | str,
    output: str = "gs://out/results",
    mime_type: str = "application/pdf",
    **output_options: Any,
) -> Any:
    """A raw BatchProcessRequest; a single source is a prefix."""
    if isinstance(sources, str):
        inputs = documentai_v1.BatchDocumentsInputConfig(gcs_prefix={"gcs_uri_prefix": sources})
    else:
        documents = [{"gcs_uri": uri, "mime_type": "application/pdf"} for uri in sources]
        inputs = documentai_v1.BatchDocumentsInputConfig(gcs_documents={"documents": documents})
    request = documentai_v1.BatchProcessRequest(
        name=PROCESSOR,
        input_documents=inputs,
        document_output_config={"gcs_output_config": {"gcs_uri": output, **output_options}},
    )
    return documentai_v1.BatchProcessRequest.pb(request)


class Watched:
    """The real readers, with a gate tests may close and a count of what was asked."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self.open = threading.Event()
        self.open.set()
        self.asked: list[ReadJob] = []

    def read(self, job: ReadJob, deadline: float | None = None, is_active: Callable[[], bool] = lambda: True) -> Read:
        self.asked.append(job)
        while not self.open.wait(0.02):
            if not is_active():
                break
        return self._readers.read(job, deadline, is_active)


class Parts:
    def __init__(self, folder: Path, readers: Readers, *, file: bool = True, workers: int = 2, limit: int = 5) -> None:
        facts = read_facts()
        self.buckets = Buckets(StorageOptions(folder / "buckets"))
        self.operations = Operations(folder / "operations.sqlite" if file else None)
        self.reader = Watched(readers)
        processing = Processing(Catalog(facts), readers, facts)
        self.batches = Batches(
            self.operations,
            self.buckets,
            self.reader,
            preparing(processing, facts),
            lambda: BatchLimits(concurrent=limit),
            workers=workers,
        )

    def accept(self, request: Any, project: str = "demo") -> Any:
        from docfleet.documentai_server.numbering import project_number

        call = CallFacts("BatchProcessDocuments", project=project_number(project), location="us")
        return self.batches.accept(request, call)

    def close(self) -> None:
        self.batches.close()
        self.operations.close()


@contextmanager
def parts_in(folder: Path, readers: Readers, **options: Any) -> Iterator[Parts]:
    parts = Parts(folder, readers, **options)
    try:
        yield parts
    finally:
        parts.close()


def blank_readers(count: int = 1) -> Readers:
    return Readers(ReaderOptions(settings={}, readers=count, waiting=8, blank=True))
