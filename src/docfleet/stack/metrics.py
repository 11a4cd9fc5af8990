"""A role's metrics, from the settings to where they are read.

one process       /metrics on `telemetry.metrics_port`
docfleet up       /metrics of the parent shows all processes below it, each with the label `process`;
docfleet serve    they tell the parent by Unix sockets in a private folder
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from docfleet import __version__
from docfleet.settings import Settings
from docfleet.telemetry import logger, metrics
from docfleet.telemetry.catalog import BUILD
from docfleet.telemetry.certificates import Certificates
from docfleet.telemetry.endpoint import ask_socket, serving_http, serving_socket
from docfleet.telemetry.exposition import Snapshot, check_available, here, is_available, render

CHILD_SECONDS = 2.0
"""A process below that does not answer within this is left out of the scrape."""
_ASKED_AT_A_TIME = 8
_log = logger("metrics")
Others = Callable[[], Sequence[Snapshot]]
"""What other processes tell, shown beside this one."""


def is_wanted(settings: Settings) -> bool:
    return bool(settings.telemetry.metrics_port or settings.telemetry.metrics_socket)


@contextmanager
def telling(settings: Settings, role: str, others: Others | None = None) -> Iterator[None]:
    """Serves the metrics of this process during the block, where the settings want that; costs nothing where they do
    not. Raises `UsageError` when the port is taken or the package is missing."""
    telemetry = settings.telemetry
    if not is_wanted(settings):
        yield
        return
    check_available()
    begin(settings, role)
    with ExitStack() as opened:
        if telemetry.metrics_socket is not None:
            opened.enter_context(serving_socket(telemetry.metrics_socket, here))
        else:
            show = _showing(role, others)
            opened.enter_context(serving_http(telemetry.metrics_host, telemetry.metrics_port, show))
        yield


def begin(settings: Settings, role: str) -> None:
    """From now on this process counts."""
    if not metrics.is_enabled():
        metrics.enable()
        metrics.gauge(BUILD, 1.0, __version__, role)
        metrics.watch(Certificates(certificate_files(settings, role), key_files(settings)))


def begin_counting_requests(settings: Settings, role: str) -> None:
    """For the API, which shows its metrics to whoever has a key, too; where the package is there."""
    if settings.telemetry.count_requests and is_available():
        begin(settings, role)


def _showing(role: str, others: Others | None) -> Callable[[str], tuple[str, bytes]]:
    if others is None:
        return lambda accept: render(accept, [here()])
    return lambda accept: render(accept, [here(role), *others()])


def certificate_files(settings: Settings, role: str) -> Mapping[str, Path | None]:
    """What a role uses of certificates, by purpose."""
    service, api, documentai = settings.service, settings.api, settings.documentai_server
    if role == "documentai-server":
        own = documentai.tls_self_signed
        return {
            "documentai_server": documentai.tls_cert_file or (own / "server.pem" if own else None),
            "client_ca": documentai.client_ca_file,
        }
    if role == "console":
        return {"console": settings.console.tls_cert_file}
    found = {"broker": service.broker_cert_file, "broker_ca": service.broker_ca_file}
    return found | ({"api": api.tls_cert_file} if role in ("api", "serve") else {})


def key_files(settings: Settings) -> Mapping[str, Path | None]:
    """The private keys of those that are served with."""
    api, console, documentai = settings.api, settings.console, settings.documentai_server
    own = documentai.tls_self_signed
    return {
        "api": api.tls_key_file,
        "console": console.tls_key_file,
        "documentai_server": documentai.tls_key_file or (own / "server-key.pem" if own else None),
    }


class Below:
    """The processes below this one: where each is to tell what it measured, and what they tell now."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def environment(self, name: str) -> dict[str, str]:
        """Beside the settings, for the process of this name."""
        # the port is this process's
        own = {"DOCFLEET_TELEMETRY__METRICS_PORT": "0"}
        if self._folder is not None:
            own["DOCFLEET_TELEMETRY__METRICS_SOCKET"] = str(self._folder / name)
        return own

    def snapshots(self) -> list[Snapshot]:
        """Of those that answer, by their names."""
        paths = sorted(self._folder.iterdir()) if self._folder is not None else []
        if not paths:
            return []
        with ThreadPoolExecutor(min(_ASKED_AT_A_TIME, len(paths)), thread_name_prefix="metrics-below") as asking:
            found = asking.map(self._ask, paths)
            return [
                msgspec.structs.replace(snapshot, name=path.name)
                for path, snapshot in zip(paths, found, strict=True)
                if snapshot is not None
            ]

    def _ask(self, path: Path) -> Snapshot | None:
        try:
            return ask_socket(path, CHILD_SECONDS)
        except msgspec.MsgspecError as error:
            # a defect: everybody else is shown, and it is said who is not
            _log.error("metrics_source_failed", name=path.name, error=error)
            return None


@contextmanager
def metrics_below(settings: Settings) -> Iterator[Below]:
    """A place for what processes below tell; nothing where metrics are not wanted."""
    if not is_wanted(settings):
        yield Below(None)
        return
    # short, since the path of a socket may have about a hundred characters; for this user alone
    folder = Path(tempfile.mkdtemp(prefix="docfleet-metrics-"))
    try:
        yield Below(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
