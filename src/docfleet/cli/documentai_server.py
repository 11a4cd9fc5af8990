"""`docfleet documentai-server`: docfleet by the API of Google Document AI."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from docfleet.errors import UsageError
from docfleet.settings import Settings, read_settings

if TYPE_CHECKING:
    from docfleet.documentai_server.app import DocumentAIServer


def documentai_server(
    grpc_port: Annotated[
        int | None, typer.Option(help="Port for gRPC; 0: any free one, -1: no gRPC.  \\[default: 8081]")
    ] = None,
    rest_port: Annotated[
        int | None, typer.Option(help="Port for REST; 0: any free one, -1: no REST.  \\[default: 8082]")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.  \\[default: 127.0.0.1]")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM): both ports speak TLS only.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Private key of the certificate (PEM).")] = None,
    tls_self_signed: Annotated[
        Path | None, typer.Option(help="Make a certificate in this folder and print what clients must trust.")
    ] = None,
    client_ca: Annotated[
        Path | None, typer.Option(help="Authority (PEM) whose certificates callers must show: mutual TLS.")
    ] = None,
    keys_file: Annotated[
        Path | None, typer.Option(help="API keys, one a line as 'name key'; without it everybody may call.")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="Engine that reads pixels; null: count pages and answer empty ones.  \\[default: rapidocr]"),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            help="auto decides page by page, ocr reads all pixels, text takes text layers only.  \\[default: auto]"
        ),
    ] = None,
    readers: Annotated[
        int | None, typer.Option(min=1, help="Documents read at a time.  \\[default: one for each core]")
    ] = None,
    processor: Annotated[
        list[str] | None, typer.Option(help="A processor there is, as id=OCR_PROCESSOR; may be given again.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder for processors that are made, and for operations.")] = None,
    storage: Annotated[
        Path | None, typer.Option(help="Folder with the buckets that gs:// names; batches need it.")
    ] = None,
    emulate: Annotated[
        Path | None, typer.Option(help="Quotas, latencies and faults to play: a TOML or JSON file.")
    ] = None,
    emulation_port: Annotated[
        int | None, typer.Option(help="Port on this machine at which the plan is changed live.")
    ] = None,
) -> None:
    """Answer clients of Google Document AI with docfleet's engines, over gRPC and REST.

    It starts alone, without database or broker. Every project and location has the processors ocr, form, layout and
    invoice; clients can make more. A client moves by changing its endpoint: with REST at once, with gRPC over TLS with
    an authority it trusts (--tls-self-signed prints the lines), without TLS by one line of transport code.

    Nothing is kept of documents sent with a request. SIGTERM ends it once requests under way are answered; GET /healthz
    and gRPC's health service say that it lives.

    Example:  docfleet documentai-server --grpc-port 8081 --rest-port 8082 --keys-file keys.txt
    """
    settings = read_settings(
        reading={"engine": engine, "mode": mode},
        documentai_server={
            "grpc_port": grpc_port,
            "rest_port": rest_port,
            "host": host,
            "tls_cert_file": tls_cert,
            "tls_key_file": tls_key,
            "tls_self_signed": tls_self_signed,
            "client_ca_file": client_ca,
            "keys_file": keys_file,
            "readers": readers,
            "processors": tuple(processor) if processor else None,
            "data_folder": data,
            "storage_folder": storage,
            "emulation_plan": emulate,
            "emulation_port": emulation_port,
        },
    )
    serve(settings)


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Raises `UsageError` where the packages it needs are not installed."""
    from docfleet.stack.metrics import telling
    from docfleet.stack.roles import stopping_on_signals
    from docfleet.telemetry.otlp import exporting

    try:
        for name in ("google.cloud.documentai_v1", "grpc_status"):
            import_module(name)
    except ImportError as error:
        raise UsageError(
            f"This needs packages that are not installed ({error.name}): pip install 'docfleet[documentai-server]'."
        ) from error
    from docfleet.documentai_server.app import run_server
    from docfleet.documentai_server.configured import options_of

    traces = exporting(settings.telemetry.otlp_options(), "documentai-server", settings.service.region)
    with traces, stopping_on_signals() as stop, telling(settings, "documentai-server"):
        run_server(options_of(settings), stop, lambda server: _tell(server, settings))


def _tell(server: DocumentAIServer, settings: Settings) -> None:
    from docfleet.documentai_server.tls import environment_lines

    for address in server.addresses:
        if address.grpc is not None:
            print(f"docfleet Document AI gRPC on {address.grpc}")
        if address.rest is not None:
            print(f"docfleet Document AI REST on {address.rest}")
    if server.emulation_address is not None:
        print(f"Emulation on {server.emulation_address}/emulation")
    own = settings.documentai_server
    if own.tls_self_signed is not None:
        print("Clients on this machine trust it with:")
        print("\n".join(environment_lines(own.tls_self_signed)))
    if own.keys_file is None:
        print(
            "WARNING: no --keys-file: whoever reaches these ports may have documents read and processors deleted.",
            file=sys.stderr,
        )
    sys.stdout.flush()
