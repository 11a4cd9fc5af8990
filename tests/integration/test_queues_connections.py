"""The broker over TLS, behind an ACL, and through Sentinel: real servers, real clients."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis
import trustme

from docfleet.api.limits import TlsFiles, make_limits
from docfleet.domain.urgency import Pool, Urgency
from docfleet.errors import BrokerUnavailable, UnsafeBroker
from docfleet.queues.app import make_app
from docfleet.queues.check import check_broker
from docfleet.queues.hints import Hints
from docfleet.queues.options import KEY_PREFIX, QueueOptions
from docfleet.stack.programs import redis_program
from docfleet.stack.servers import start_redis


def works(options: QueueOptions) -> None:
    """Checked, published to, counted, marked."""
    assert check_broker(options).startswith(("redis ", "valkey "))
    hints = Hints(options)
    try:
        assert hints.is_up()
        hints.publish(Pool.PDF, Urgency.HIGH, 7)
        assert hints.length(Pool.PDF)["pdf.high"] == 1
        hints.set_epoch("now")
        assert hints.epoch() == "now"
    finally:
        hints.close()


def counted_together(url: str, tls_files: TlsFiles = TlsFiles()) -> None:  # noqa: B008 - frozen
    """Request limits of two API processes are one, over the same connection as the hints."""

    async def refused(key: str) -> list[bool]:
        one, two = make_limits(url, 2, tls_files), make_limits(url, 2, tls_files)
        try:
            return [await limits.take(key) > 0 for limits in (one, two, one, two)]
        finally:
            await one.close()
            await two.close()

    # they wait half a second for Redis, which on a busy machine is too short now and then: each counts alone then
    assert [False, False, True, True] in [asyncio.run(refused(f"key {attempt}")) for attempt in range(3)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def program(folder: Path, *arguments: str) -> Iterator[None]:
    """A server of the Redis binary with these arguments."""
    process = subprocess.Popen([str(redis_program()), *arguments], cwd=folder, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def test_plain_with_a_password(tmp_path: Path) -> None:
    with start_redis(tmp_path) as server:
        works(QueueOptions(server.url))
        with pytest.raises(UnsafeBroker, match="password"):
            check_broker(QueueOptions(server.url.replace(server.password, "wrong")))
        server.kill()
        with pytest.raises(BrokerUnavailable):
            check_broker(QueueOptions(server.url))
        hints = Hints(QueueOptions(server.url))
        assert not hints.is_up()
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            hints.publish(Pool.PDF, Urgency.HIGH, 7)
        assert time.monotonic() - started < 5


def test_a_redis_that_takes_no_writes_is_not_up(tmp_path: Path) -> None:
    with start_redis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        hints = Hints(QueueOptions(server.url))
        assert hints.is_up()
        for name, wrong, right in (("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")):
            client.config_set(name, wrong)
            assert not hints.is_up(), name
            with pytest.raises(BrokerUnavailable):
                hints.publish(Pool.PDF, Urgency.HIGH, 7)
            client.config_set(name, right)
            assert hints.is_up()
        hints.close()


def test_a_user_who_may_touch_nothing_but_the_fleets_keys(tmp_path: Path) -> None:
    # the channels are kombu's, the commands those of lists, hashes and sorted sets
    rule = f"user fleet on >secret ~{KEY_PREFIX}* &* +@all -@dangerous +info"
    with start_redis(tmp_path, config={rule.split()[0]: rule.partition(" ")[2]}) as server:
        url = f"redis://fleet:secret@127.0.0.1:{server.port}/0"
        works(QueueOptions(url))
        counted_together(url)


def test_tls_with_a_private_authority(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with start_redis(tmp_path / "redis") as server, tls_in_front_of(server.port, context) as port:
        url = f"rediss://:{server.password}@localhost:{port}/0"
        works(QueueOptions(url, ca_file=str(tmp_path / "ca.pem")))
        counted_together(url, TlsFiles(str(tmp_path / "ca.pem")))
        with pytest.raises(BrokerUnavailable, match="certificate"):
            check_broker(QueueOptions(url))
        with pytest.raises(BrokerUnavailable, match="certificate"):
            check_broker(QueueOptions(url.replace("localhost", "127.0.0.1"), ca_file=str(tmp_path / "ca.pem")))


@contextmanager
def tls_in_front_of(port: int, context: ssl.SSLContext, plain_too: bool = False) -> Iterator[int]:
    """A port that speaks TLS and passes on to a plain one: the wheel's Redis is built without TLS.

    `plain_too`: who speaks plainly is passed on as he is, as the wheel's Sentinel has to be.
    """

    def accepted(outer: socket.socket) -> socket.socket:
        if plain_too and outer.recv(1, socket.MSG_PEEK) != b"\x16":
            return outer
        return context.wrap_socket(outer, server_side=True)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with (
                suppress(OSError),
                accepted(self.request) as outer,
                socket.create_connection(("127.0.0.1", port)) as inner,
            ):
                back = threading.Thread(target=pump, args=(inner, outer), daemon=True)
                back.start()
                pump(outer, inner)
                back.join(2)

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError, ValueError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_through_sentinel(tmp_path: Path) -> None:
    port = free_port()
    with start_redis(tmp_path / "redis") as server:
        (tmp_path / "sentinel.conf").write_text(
            f"port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {server.port} 1\n"
            f"sentinel auth-pass main {server.password}\n"
        )
        with program(tmp_path, "sentinel.conf", "--sentinel"):
            options = QueueOptions(f"sentinel://:{server.password}@127.0.0.1:{port}/0", sentinel_master="main")
            _await(options)
            works(options)


def _await(options: QueueOptions) -> None:
    hints = Hints(options)
    deadline = time.monotonic() + 15
    while not hints.is_up():
        assert time.monotonic() < deadline, "the server does not answer"
        time.sleep(0.1)
    hints.close()


def test_mutual_tls_to_one_server(tmp_path: Path) -> None:
    ours = trustme.CA()
    files = _client_files(tmp_path / "ours", ours)
    wrong = _client_files(tmp_path / "wrong", trustme.CA())
    with start_redis(tmp_path / "redis") as server, tls_in_front_of(server.port, _asking_for(ours)) as port:
        url = f"rediss://:{server.password}@localhost:{port}/0"
        works(_options(url, files))
        counted_together(url, files)
        for unwanted in (
            QueueOptions(url, "", files.ca),
            QueueOptions(url, "", wrong.ca, wrong.certificate, wrong.key),
        ):
            with pytest.raises(BrokerUnavailable):
                check_broker(unwanted)


def test_mutual_tls_through_sentinel(tmp_path: Path) -> None:
    """Both to the sentinel and to the master it names; by docfleet's own client, and by the one of Celery."""
    authority = trustme.CA()
    files = _client_files(tmp_path / "client", authority)
    context = _asking_for(authority)
    asked = free_port()
    with start_redis(tmp_path / "redis") as server, tls_in_front_of(server.port, context, plain_too=True) as master:
        (tmp_path / "sentinel.conf").write_text(
            f"port {asked}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {master} 1\n"
            f"sentinel auth-pass main {server.password}\n"
        )
        with program(tmp_path, "sentinel.conf", "--sentinel"), tls_in_front_of(asked, context) as port:
            url = f"sentinel://:{server.password}@localhost:{port}/0"
            options = _options(url, files, "main")
            _await(options)
            works(options)
            with make_app(options).connection_for_read() as connection:
                connection.ensure_connection(max_retries=3)
                assert connection.default_channel.client.llen("pdf.high") == 1
            with pytest.raises(BrokerUnavailable):
                check_broker(_options(url, TlsFiles(files.ca), "main"))


def _options(url: str, files: TlsFiles, master: str = "") -> QueueOptions:
    shown = {"cert_file": files.certificate, "key_file": files.key} if files.certificate else {}
    return QueueOptions(url, master, ca_file=files.ca, **shown)


def _client_files(folder: Path, authority: trustme.CA) -> TlsFiles:
    folder.mkdir()
    authority.cert_pem.write_to_path(folder / "ca.crt")
    own = authority.issue_cert("docfleet", common_name="docfleet")
    own.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    own.private_key_pem.write_to_path(folder / "tls.key")
    return TlsFiles(str(folder / "ca.crt"), str(folder / "tls.crt"), str(folder / "tls.key"))


def _asking_for(authority: trustme.CA) -> ssl.SSLContext:
    """Of a server that lets nobody in without a certificate of this authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context
