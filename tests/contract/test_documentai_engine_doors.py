"""The engine at the doors of docfleet's own Document AI server: TLS, mutual TLS, keys, nobody there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from test_documentai_engine_server import address_of, call

from docfleet.documentai_server.app import DocumentAIServer
from docfleet.documentai_server.options import Listener, ServerOptions
from docfleet.documentai_server.readers import ReaderOptions
from docfleet.documentai_server.tls import TlsFiles, self_signed
from docfleet.engines.documentai.calls import Answer, Failed
from docfleet.engines.documentai.failures import FailureKind
from docfleet.engines.documentai.options import Processor
from docfleet.errors import EngineUnavailable
from documentai_double import caller_for, options_for

KEY = "a-key-of-sixteen-characters"


@pytest.fixture(params=["grpc", "rest"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DocumentAIServer, Path]]:
    folder = tmp_path_factory.mktemp("doors")
    own = trustme.CA()
    own.cert_pem.write_to_path(str(folder / "clients.pem"))
    cert = own.issue_cert("engine@example.com")
    cert.private_key_pem.write_to_path(str(folder / "client-key.pem"))
    cert.cert_chain_pems[0].write_to_path(str(folder / "client.pem"))
    tls = self_signed(folder / "tls")
    options = ServerOptions(
        readers=ReaderOptions(settings={"reading": {"engine": "null"}}, readers=1, waiting=4),
        listeners=(
            Listener("tls", tls=tls),
            Listener("mutual", tls=TlsFiles(tls.certificate, tls.key, folder / "clients.pem")),
        ),
        keys={"tests": KEY},
        grace_seconds=1.0,
    )
    with DocumentAIServer(options) as running:
        yield running, folder


def through(doors: tuple[DocumentAIServer, Path], transport: str, which: int, **options: Any) -> Any:
    server, _ = doors
    given = {"processors": (Processor("ocr", "us"),), "transport": transport, "insecure": False, "anonymous": False}
    caller = caller_for(options_for(address_of(server, transport, which), **(given | options)))
    try:
        return caller.call(call())
    finally:
        caller.close()


def test_tls_and_a_key(doors: tuple[DocumentAIServer, Path], transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = doors[1]
    ca = str(folder / "tls" / "ca.pem")
    # what another program on the machine trusts is not what was set here
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / "clients.pem"))
    assert isinstance(through(doors, transport, 0, ca_file=ca, api_key=KEY), Answer)
    for wrong in ({"api_key": "not-the-right-key-at-all"}, {"anonymous": True}):
        outcome = through(doors, transport, 0, ca_file=ca, **wrong)
        assert isinstance(outcome, Failed)
        assert outcome.failure.kind is FailureKind.SETUP
        assert outcome.failure.code in ("unauthenticated", "no_credentials")
        assert isinstance(outcome.failure.error(), EngineUnavailable)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    distrusted = through(doors, transport, 0, api_key=KEY, connect_seconds=2.0)
    assert isinstance(distrusted, Failed)
    assert (distrusted.failure.kind, distrusted.failure.code) == (FailureKind.AWAY, "not_reached")
    assert not distrusted.attempts[0].billed


def test_nobody_there_costs_nothing(transport: str) -> None:
    caller = caller_for(options_for("localhost:9", transport=transport, connect_seconds=1.0))
    outcome = caller.call(call())
    caller.close()
    assert isinstance(outcome, Failed)
    assert (outcome.failure.kind, outcome.failure.code) == (FailureKind.AWAY, "not_reached")
    assert not outcome.attempts[0].billed


def test_mutual_tls(doors: tuple[DocumentAIServer, Path], transport: str) -> None:
    folder = doors[1]
    given = {"ca_file": str(folder / "tls" / "ca.pem"), "api_key": KEY}
    shown = {"client_cert_file": str(folder / "client.pem"), "client_key_file": str(folder / "client-key.pem")}
    assert isinstance(through(doors, transport, 1, **given, **shown), Answer)
    outcome = through(doors, transport, 1, **given)
    assert isinstance(outcome, Failed)
    assert outcome.failure.kind is FailureKind.AWAY
