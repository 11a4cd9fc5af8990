"""A renewed certificate is shown to whoever connects from then on."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from pathlib import Path

import pytest
import trustme

from docfleet.stack.renewing import RenewedCertificate


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "tls.crt", tmp_path / "tls.key"


def renew(authority: trustme.CA, files: tuple[Path, Path], at: int) -> None:
    """A new certificate, as if made `at` this moment."""
    made = authority.issue_cert("localhost")
    made.cert_chain_pems[0].write_to_path(files[0])
    made.private_key_pem.write_to_path(files[1])
    for file in files:
        os.utime(file, (at, at))


def shown(server: ssl.SSLContext, authority: trustme.CA) -> str:
    """Serial number of what a client is shown."""
    client = ssl.create_default_context()
    authority.configure_trust(client)
    here, there = socket.socketpair()

    def answer() -> None:
        with server.wrap_socket(there, server_side=True) as connection:
            connection.recv(1)

    thread = threading.Thread(target=answer)
    thread.start()
    with client.wrap_socket(here, server_hostname="localhost") as connection:
        found = connection.getpeercert()
        connection.sendall(b"x")
    thread.join()
    assert found is not None
    return str(found["serialNumber"])


def test_it_is_taken_up_while_the_server_runs(files: tuple[Path, Path]) -> None:
    authority = trustme.CA()
    renew(authority, files, 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    watch = RenewedCertificate(context, *files, seconds=0)
    first = shown(context, authority)
    assert not watch.look()
    assert shown(context, authority) == first
    renew(authority, files, 2)
    assert shown(context, authority) == first, "nobody has looked yet"
    assert watch.look()
    assert shown(context, authority) != first
    assert not watch.look()


def test_half_a_renewal_changes_nothing_and_is_tried_again(files: tuple[Path, Path]) -> None:
    authority = trustme.CA()
    renew(authority, files, 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    watch = RenewedCertificate(context, *files, seconds=0)
    first, key = shown(context, authority), files[1].read_bytes()
    renew(authority, files, 2)
    new_key = files[1].read_bytes()
    files[1].write_bytes(key)
    assert not watch.look()
    assert shown(context, authority) == first
    files[1].write_bytes(new_key)
    assert watch.look()
    assert shown(context, authority) != first


def test_it_is_not_looked_for_at_every_turn(files: tuple[Path, Path]) -> None:
    authority = trustme.CA()
    renew(authority, files, 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    watch = RenewedCertificate(context, *files, seconds=3600)
    renew(authority, files, 2)
    assert not watch.look()
