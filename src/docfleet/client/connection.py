"""One connection to the service: sends requests, repeats what may be repeated, turns refusals into errors."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from docfleet import __version__
from docfleet.client.address import Address
from docfleet.client.problems import error_of, with_facts
from docfleet.client.repeating import RepeatPolicy, Trouble, may_repeat, retry_after
from docfleet.errors import DocfleetError, ServiceError, ServiceUnreachable, UsageError

if TYPE_CHECKING:  # httpx takes a third of a second to import: only those who connect pay for it
    import ssl

    import httpx

_CONNECT_SECONDS = 10.0
T = TypeVar("T")
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "PATCH"})
Body = Callable[[], Mapping[str, Any]]
"""Makes the body of one attempt, as keyword arguments of httpx: every attempt sends the same bytes from the start."""
_DISTRUSTED = "Give the certificate to trust with --ca-file, as DOCFLEET_CA_FILE or as ca_file=…"


class Connection:
    """Safe for several threads."""

    def __init__(
        self,
        address: Address,
        *,
        timeout_seconds: float = 60.0,
        policy: RepeatPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`timeout_seconds`: how long one read or write on the wire may take; not the time of a whole request."""
        import httpx

        self.address = address
        self.policy = policy or RepeatPolicy()
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=address.url,
            headers={"Authorization": f"Bearer {address.api_key}", "User-Agent": f"docfleet/{__version__}"},
            timeout=httpx.Timeout(timeout_seconds, connect=min(timeout_seconds, _CONNECT_SECONDS)),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=16),
            verify=_trust(address),
            # a redirect could carry the key elsewhere
            follow_redirects=False,
        )

    def close(self) -> None:
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        repeatable: bool | None = None,
        patience_seconds: float | None = None,
    ) -> httpx.Response:
        """The answer, read whole. Raises the error that stands for it, or `ServiceUnreachable`.

        `repeatable`: sending it twice does what sending it once does; unsaid: so for every method but POST.
        `patience_seconds`: repeat for at most so long, where the policy would go on longer.
        """
        may = method in _IDEMPOTENT if repeatable is None else repeatable

        def attempt() -> httpx.Response:
            return self._http.request(
                method, path, params=_said(params), headers=dict(headers or {}), **(body() if body else {})
            )

        return self._repeat(attempt, may, self.policy.shortened(patience_seconds))

    @contextmanager
    def stream(
        self,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> Iterator[httpx.Response]:
        """The answer to a GET, its body still to be read; broken connections while reading are `ServiceUnreachable`."""
        import httpx

        extra: dict[str, Any] = {}
        if timeout_seconds is not None:
            extra["timeout"] = httpx.Timeout(timeout_seconds, connect=_CONNECT_SECONDS)

        def attempt() -> httpx.Response:
            request = self._http.build_request("GET", path, params=_said(params), headers=dict(headers or {}), **extra)
            response = self._http.send(request, stream=True)
            if response.status_code >= 300:
                with closing(response):
                    response.read()
            return response

        with closing(self._repeat(attempt, True, self.policy)) as response:
            try:
                yield response
            except httpx.TransportError as error:
                raise self._unreachable(error) from error

    def _repeat(self, attempt: Callable[[], httpx.Response], repeatable: bool, policy: RepeatPolicy) -> httpx.Response:
        started = time.monotonic()
        attempts = 0
        while True:
            attempts += 1
            trouble, asked, error = self._try(attempt)
            if not isinstance(error, DocfleetError):
                return error
            if not may_repeat(trouble, repeatable=repeatable):
                raise error
            pause = policy.pause(attempts, time.monotonic() - started, asked, random.random())
            if pause is None:
                raise error
            self._sleep(pause)

    def _try(
        self, attempt: Callable[[], httpx.Response]
    ) -> tuple[Trouble | int, float | None, httpx.Response | DocfleetError]:
        """What came of one attempt: its trouble or status, the Retry-After, and the answer or the error."""
        import httpx

        try:
            response = attempt()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return Trouble.NOT_SENT, None, self._unreachable(error)
        except httpx.TransportError as error:
            return Trouble.LOST, None, self._unreachable(error)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise UsageError(f"{self.address.url} is not an address: {error}.") from error
        status = response.status_code
        if status < 300 or status == 304:
            return status, None, response
        asked = retry_after(response.headers.get("Retry-After"))
        if status < 400:
            message = f"{self.address.url} answered with a redirect to {response.headers.get('Location', 'nowhere')}."
            return status, asked, with_facts(ServiceError(message), status=status)
        return status, asked, error_of(status, response.content, asked)

    def _unreachable(self, error: Exception) -> ServiceUnreachable:
        reason = str(error).strip() or type(error).__name__
        unreachable = ServiceUnreachable(f"No answer from {self.address.url}: {reason}.")
        if _is_distrust(error):
            with_facts(unreachable, remedy=_DISTRUSTED)
        return unreachable


def _is_distrust(error: BaseException | None) -> bool:
    """Whether at the bottom of it is a certificate that was not accepted."""
    import ssl

    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def decoded(response: httpx.Response, kind: type[T]) -> T:
    """The JSON of an answer as a value; members it does not know are passed over."""
    try:
        return msgspec.json.decode(response.content, type=kind)
    except msgspec.MsgspecError as error:
        raise ServiceError(f"The service answered {response.request.url.path} with something else: {error}.") from error


def _said(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Parameters that say something."""
    return {name: value for name, value in (params or {}).items() if value not in (None, "", (), [])}


def _trust(address: Address) -> ssl.SSLContext | bool:
    if not address.ca_file:
        return True
    import ssl

    try:
        return ssl.create_default_context(cafile=address.ca_file)
    except OSError as error:
        raise UsageError(f"The certificates in {address.ca_file} cannot be read: {error.strerror or error}.") from error
