"""What the Document AI server adds to a call: beside a bare gRPC echo of the same sizes, one caller, on this machine.

`python -m bench.documentai_server` prints a table. Nothing is read (`null` engine); the pages of a document are
counted in the sandbox when it comes for the first time, which is not measured. The echo
answers the very bytes the server answers.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from docfleet.documentai_server.app import DocumentAIServer
from docfleet.documentai_server.options import Listener, ServerOptions
from docfleet.documentai_server.readers import ReaderOptions

CALLS = 100
WARM = 10
BIG = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
PROCESS = "/google.cloud.documentai.v1.DocumentProcessorService/ProcessDocument"


def timed(call: Callable[[], object]) -> list[float]:
    """Milliseconds of each call."""
    found = []
    for _ in range(WARM + CALLS):
        started = time.perf_counter()
        call()
        found.append((time.perf_counter() - started) * 1000)
    return found[WARM:]


def echo(answer: bytes) -> tuple[grpc.Server, int]:
    """A server that answers every call with these bytes."""
    server = grpc.server(ThreadPoolExecutor(4), options=BIG)
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", {"Call": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def main(paths: list[str]) -> None:
    from google.cloud import documentai_v1

    options = ServerOptions(
        readers=ReaderOptions(settings={}, readers=1, blank=True), listeners=(Listener(rest_port=None),)
    )
    print("| document | bytes in | bytes out | echo p50 ms | server p50 ms | added ms |")
    print("|---|---|---|---|---|---|")
    with DocumentAIServer(options) as server, grpc.insecure_channel(str(server.addresses[0].grpc), options=BIG) as ours:
        for path in paths:
            raw = documentai_v1.RawDocument(content=Path(path).read_bytes(), mime_type="application/pdf")
            name = "projects/p/locations/us/processors/ocr"
            request = documentai_v1.ProcessRequest.serialize(
                documentai_v1.ProcessRequest(name=name, raw_document=raw, imageless_mode=True)
            )
            call = ours.unary_unary(PROCESS)
            answer = call(request)
            other, port = echo(answer)
            with grpc.insecure_channel(f"127.0.0.1:{port}", options=BIG) as channel:
                bare = channel.unary_unary("/bench.Echo/Call")
                least = statistics.median(timed(lambda bare=bare, request=request: bare(request)))
            other.stop(None)
            mine = statistics.median(timed(lambda call=call, request=request: call(request)))
            said = f"{len(request)} | {len(answer)} | {least:.2f} | {mine:.2f} | {mine - least:.2f}"
            print(f"| {Path(path).name} | {said} |")


if __name__ == "__main__":
    main(sys.argv[1:] or ["samples/invoice-01.pdf", "samples/contract.pdf"])
