"""One try: a signed POST over a connection of its own, with one deadline for all of it."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpcore
import msgspec

from docfleet import __version__
from docfleet.delivery.addresses import AddressRefused, AddressUnknown, check_url, resolve
from docfleet.delivery.signing import sign
from docfleet.domain.delivery import Answer
from docfleet.errors import BadRequest
from docfleet.ledger.webhook_values import ClaimedDelivery

MAX_RETRY_AFTER = 86_400.0


def body_of(delivery: ClaimedDelivery) -> bytes:
    """The same bytes in every try."""
    at = datetime.fromtimestamp(delivery.created_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    said = {"type": delivery.event_type, "timestamp": at, "data": msgspec.Raw(delivery.payload_json.encode())}
    return msgspec.json.encode(said)


class Sender:
    """Sends messages; threads may share it. No redirects, no proxies, no cookies, nothing kept open."""

    def __init__(self, timeout_seconds: float, allow_private: bool, trust: ssl.SSLContext | None = None) -> None:
        self._timeout = timeout_seconds
        self._allow_private = allow_private
        self._trust = trust or ssl.create_default_context()

    def send(self, delivery: ClaimedDelivery, secret: str, traceparent: str = "") -> Answer:
        """Whatever goes wrong is in the answer."""
        began = time.monotonic()
        try:
            status, retry_after = self._post(delivery, secret, began + self._timeout, traceparent)
        except (AddressRefused, AddressUnknown, BadRequest) as error:
            code = "address_refused" if isinstance(error, BadRequest) else error.code
            return Answer(0, time.monotonic() - began, f"{code}: {error}")
        except (httpcore.TimeoutException, _DeadlinePassed):
            return Answer(0, time.monotonic() - began, f"timeout: no answer within {self._timeout:g} s")
        except (httpcore.ConnectError, ssl.SSLError) as error:
            return Answer(0, time.monotonic() - began, f"no_connection: {_first_line(error)}")
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            return Answer(0, time.monotonic() - began, f"broken_answer: {_first_line(error)}")
        return Answer(status, time.monotonic() - began, "", retry_after)

    def _post(
        self, delivery: ClaimedDelivery, secret: str, deadline: float, traceparent: str
    ) -> tuple[int, float | None]:
        url = check_url(delivery.url, self._allow_private)
        body = body_of(delivery)
        timestamp = int(delivery.claimed_at)  # by the database's clock: this machine's may be wrong
        headers = {
            "host": url.netloc.decode("ascii"),
            "content-type": "application/json",
            "content-length": str(len(body)),
            "user-agent": f"docfleet/{__version__}",
            "connection": "close",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(secret, delivery.id, timestamp, body),
        }
        if traceparent:
            headers["traceparent"] = traceparent
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        network = _Network(self._allow_private, deadline)
        limits = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout)
        with (
            httpcore.HTTPConnection(target.origin, ssl_context=self._trust, network_backend=network) as connection,
            connection.stream(
                "POST", target, headers=list(headers.items()), content=body, extensions={"timeout": limits}
            ) as response,
        ):
            # the body of the answer is not read: it could be endless
            return response.status, retry_after(response.headers, timestamp)


class _DeadlinePassed(Exception):
    """The whole try took too long, though no single step of it did."""


class _Network(httpcore.NetworkBackend):
    """Connects to addresses that were judged, and to nothing else, within the deadline."""

    def __init__(self, allow_private: bool, deadline: float) -> None:
        self._allow_private = allow_private
        self._deadline = deadline
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in resolve(host, port, self._allow_private):
            try:
                stream = self._sockets.connect_tcp(address, port, _left(self._deadline), local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Stream(stream, self._deadline)
        raise failure or httpcore.ConnectError(f"{host} has no address")

    def connect_unix_socket(self, *args: Any, **options: Any) -> httpcore.NetworkStream:
        raise AddressRefused("A webhook is not a file.")

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, _left(self._deadline)))


class _Stream(httpcore.NetworkStream):
    """A receiver that answers a byte at a time must not hold a sender longer than one that does not answer."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _left(self._deadline)), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float, clock: Callable[[], float] = time.monotonic) -> float:
    left = deadline - clock()
    if left <= 0:
        raise _DeadlinePassed
    return left


def retry_after(headers: Iterable[tuple[bytes, bytes]], now: float) -> float | None:
    """Seconds the receiver asks to be left alone, from either form of Retry-After; None: it does not say."""
    said = next((value.decode("latin-1").strip() for name, value in headers if name.lower() == b"retry-after"), "")
    if not said:
        return None
    if said.isascii() and said.isdecimal():
        return min(float(said[:9]), MAX_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(said)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max(0.0, at.timestamp() - now), MAX_RETRY_AFTER)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
