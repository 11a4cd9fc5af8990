"""The official Document AI client, untouched, over every transport; and documents for it to send."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import msgspec
import pikepdf
from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import AnonymousCredentials
from google.cloud import documentai

from docfleet.documentai_server.app import Address, DocumentAIServer

BIG = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
CLIENT = documentai.DocumentProcessorServiceClient
TRANSPORTS = ("grpc", "grpc_tls", "grpc_async", "rest", "rest_tls")


def pdf_of(*pages: str, owner: str = "", user: str = "") -> bytes:
    """A PDF whose pages each hold these lines."""
    made = pikepdf.new()
    font = made.make_indirect(
        pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
    )
    for text in pages:
        page = made.add_blank_page(page_size=(595, 842))
        lines = " ".join(f"({line}) Tj 0 -20 Td" for line in text.split("\n"))
        page.Contents = made.make_stream(f"BT /F1 12 Tf 72 760 Td {lines} ET".encode())
        page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
    file = io.BytesIO()
    encryption = pikepdf.Encryption(owner=owner, user=user) if owner or user else None
    made.save(file, encryption=encryption) if encryption else made.save(file)
    return file.getvalue()


def numbered_pdf(count: int) -> bytes:
    return pdf_of(*[f"This is page number {n} of the document." for n in range(1, count + 1)])


def play(server: DocumentAIServer, toml: str) -> None:
    """The emulator follows this plan from now on."""
    answer = httpx.put(
        f"{server.emulation_address}/emulation", content=toml, headers={"content-type": "application/toml"}
    )
    assert answer.status_code == 200, answer.text


def begin_anew(server: DocumentAIServer) -> None:
    """With an empty plan, and counts of 0."""
    play(server, "")
    httpx.delete(f"{server.emulation_address}/emulation/counts").raise_for_status()


class Refused(msgspec.Struct):
    """An error as the client sees it, whichever transport it came by."""

    code: int
    """HTTP status."""
    message: str
    reason: str | None
    metadata: dict[str, str]
    details: list[Any]
    error: Exception


def refused(call: Callable[[], Any]) -> Refused:
    """What `call` is refused with; a test fails when it is not."""
    try:
        call()
    except GoogleAPICallError as error:
        message = error.message.partition("?%24alt=json%3Benum-encoding%3Dint: ")[2] or error.message
        metadata = dict(error.metadata) if error.metadata else {}
        return Refused(int(error.code), message, error.reason, metadata, list(error.details), error)
    raise AssertionError("the call was answered")


class Waiting:
    """The async client, each call waited for."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = self._run(self._made(make))

    async def _made(self, make: Callable[[], Any]) -> Any:
        return make()

    def _run(self, awaitable: Any) -> Any:
        return self._loop.run_until_complete(awaitable)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            async def wait() -> Any:
                answer = await getattr(self._client, name)(*arguments, **named)
                return [one async for one in answer] if hasattr(answer, "__aiter__") else answer

            return self._run(wait())

        return call

    def close(self) -> None:
        self._run(self._client.transport.close())
        self._loop.close()


@contextmanager
def client_over(transport: str, address: Address, authority: Path | None = None, **options: Any) -> Iterator[Any]:
    """A client of `address`; `options` go to the channel credentials of TLS (a client's certificate)."""
    made: Any = None
    if transport == "grpc":
        kind = CLIENT.get_transport_class("grpc")
        made = CLIENT(transport=kind(channel=grpc.insecure_channel(address.grpc, options=BIG)))
    elif transport == "grpc_tls":
        assert authority is not None
        kind = CLIENT.get_transport_class("grpc")
        credentials = grpc.ssl_channel_credentials(authority.read_bytes(), **options)
        made = CLIENT(
            transport=kind(host=address.grpc, credentials=AnonymousCredentials(), ssl_channel_credentials=credentials)
        )
    elif transport == "grpc_async":

        def make() -> Any:
            client = documentai.DocumentProcessorServiceAsyncClient
            kind = client.get_transport_class("grpc_asyncio")
            return client(transport=kind(channel=grpc.aio.insecure_channel(address.grpc, options=BIG)))

        made = Waiting(make)
    else:
        made = CLIENT(
            transport="rest", credentials=AnonymousCredentials(), client_options={"api_endpoint": address.rest}
        )
        if authority is not None:
            made.transport._session.verify = str(authority)
            # a bundle that the environment names would be taken instead
            made.transport._session.trust_env = False
    try:
        yield made
    finally:
        made.close() if isinstance(made, Waiting) else made.transport.close()
