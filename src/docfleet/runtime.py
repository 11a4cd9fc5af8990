"""The composition root: from settings to parts, each built on first use, so that a role loads only what it needs.

Imports stand inside the properties: the process of the API holds no recogniser and no PDF engine, the command that
makes a key no object store.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from docfleet.errors import UsageError
from docfleet.money import open_budgets
from docfleet.settings import CascadeSettings, LimitSettings, ServiceSettings, Settings

if TYPE_CHECKING:
    from docfleet.domain.cascade import EscalationPolicy
    from docfleet.engines.base import Engine
    from docfleet.engines.documentai.calling import Caller
    from docfleet.engines.documentai.calls import Asks
    from docfleet.ledger import Ledger
    from docfleet.ledger.access import Access
    from docfleet.ledger.budgets import Budgets
    from docfleet.ledger.desk import Desk
    from docfleet.ledger.fleet_book import FleetBook
    from docfleet.ledger.tallies import Tallies
    from docfleet.ledger.webhooks import Webhooks
    from docfleet.pipeline.recognise import ReadingPlan
    from docfleet.queues.hints import Hints
    from docfleet.queues.options import QueueOptions
    from docfleet.sandbox import ArchiveLimits, Sandbox, SandboxLimits
    from docfleet.store.base import Store
    from docfleet.store.encryption import MasterKey

LEDGER_FILE = "ledger.db"
STORE_FOLDER = "store"
MASTER_KEY_FILE = "master.key"
DOCUMENTAI = "documentai"


def sandbox_limits(limits: LimitSettings) -> SandboxLimits:
    from docfleet.sandbox import SandboxLimits

    return SandboxLimits(
        memory_bytes=limits.sandbox_memory_bytes,
        page_seconds=limits.page_seconds,
        open_seconds=limits.open_seconds,
        max_page_pixels=limits.max_page_pixels,
        max_pages=limits.max_pages,
        recycle_requests=limits.sandbox_recycle_requests,
        recycle_memory_bytes=limits.sandbox_recycle_bytes,
    )


def archive_limits(limits: LimitSettings) -> ArchiveLimits:
    from docfleet.sandbox import ArchiveLimits

    return ArchiveLimits(
        max_files=limits.archive_max_members,
        max_total_bytes=limits.archive_max_bytes,
        max_member_bytes=limits.max_file_bytes,
        max_depth=limits.archive_max_depth,
        max_ratio=limits.archive_max_ratio,
    )


def ledger_address(service: ServiceSettings) -> str | Path:
    """The URL of a database, or the path of the SQLite file."""
    if not service.ledger_url:
        return service.data_folder / LEDGER_FILE
    return service.ledger_url if "://" in service.ledger_url else Path(service.ledger_url)


def is_postgres(service: ServiceSettings) -> bool:
    return service.ledger_url.startswith("postgres")


def engine_options(settings: Settings) -> dict[str, dict[str, Any]]:
    """What engines are given at their start, by name, as plain values; those that are not named are given nothing."""
    return {DOCUMENTAI: settings.documentai.model_dump(mode="json")}


def escalation_policy(cascade: CascadeSettings, cloud_engine: str) -> EscalationPolicy:
    from docfleet.domain.cascade import EscalationPolicy, OnRefusal

    return EscalationPolicy(
        cloud_engine, cascade.escalate_below, OnRefusal(cascade.on_refusal), cascade.doubted_characters
    )


class Runtime:
    """The parts one process works with. Close it (or use it as a context manager) to end its child processes."""

    def __init__(self, settings: Settings, paying: Callable[[Asks], Asks] | None = None) -> None:
        """`paying`: puts somebody who keeps the account between an engine of this process and the service it calls."""
        self.settings = settings
        self._paying = paying

    # --- reading documents

    @cached_property
    def sandbox(self) -> Sandbox:
        from docfleet.sandbox import Sandbox

        return Sandbox(sandbox_limits(self.settings.limits))

    @cached_property
    def engine(self) -> Engine:
        return self.load_engine(self.settings.reading.engine)

    @cached_property
    def cloud_engine(self) -> Engine:
        """That reads again what the local one read too poorly (`cascade.cloud_engine`)."""
        return self.load_engine(self.settings.cascade.cloud_engine)

    def load_engine(self, name: str) -> Engine:
        """A new engine of this name, with what the settings say of it. Raises `UsageError`, `EngineUnavailable`."""
        from docfleet.engines.registry import load

        options: dict[str, Any] = dict(engine_options(self.settings).get(name, {}))
        if name == DOCUMENTAI and self.settings.documentai.processors:
            caller: Asks = self.open_documentai()
            options["caller"] = self._paying(caller) if self._paying else caller
        return load(name, options)

    def open_documentai(self, processes: int = 0) -> Caller:
        """A new way to call Document AI, metered with every other process where there is a Redis, else by a share of
        the quota for each of the `processes` that call (0: every worker process of this machine). Close it. Raises
        `UsageError`, `EngineUnavailable`."""
        from docfleet.engines.documentai.calling import Caller
        from docfleet.engines.documentai.client import open_transport
        from docfleet.engines.documentai.options import read_options
        from docfleet.quota.breaker import BreakerPolicy
        from docfleet.quota.local import share_of
        from docfleet.quota.open import QuotaOptions, open_breakers, open_quota

        options = read_options(engine_options(self.settings)[DOCUMENTAI])
        facts, metering, client = options.facts(), self.settings.quota, self.quota_redis()
        use = QuotaOptions(
            metering.sharers, metering.burst_seconds, metering.headroom, metering.urgent_share, metering.place_seconds
        )
        policy = BreakerPolicy(slow_seconds=metering.breaker_slow_seconds, open_seconds=metering.breaker_open_seconds)
        workers = 1 if client is not None else processes or self.settings.work.workers or os.cpu_count() or 1
        quota = open_quota(lambda key: share_of(facts.quota_limits(key), workers), client, use)
        return Caller(options, facts, open_transport(options, facts), quota, open_breakers(client, policy))

    def quota_redis(self) -> Any | None:
        service = self.settings.service
        url = self.settings.quota.redis_url or service.broker_url
        if not url:
            return None
        from docfleet.queues.options import connect

        return connect(self._redis_options(url))

    @cached_property
    def plan(self) -> ReadingPlan:
        from docfleet.domain.cascade import CascadePolicy, Route
        from docfleet.pipeline.recognise import ReadingPlan

        forced = {"auto": None, "ocr": Route.OCR, "text": Route.TEXT_LAYER}
        reading = self.settings.reading
        policy = CascadePolicy(force=forced[reading.mode])
        return ReadingPlan(lambda: self.engine, policy, reading.render_dpi, reading.languages)

    @cached_property
    def third_step(self) -> EscalationPolicy:
        """Which pages go on to a cloud engine from this machine; none where one reads all pages anyway."""
        from docfleet.domain.cascade import CLOUD_ENGINES

        cascade = self.settings.cascade
        return escalation_policy(cascade, "" if self.settings.reading.engine in CLOUD_ENGINES else cascade.cloud_engine)

    @cached_property
    def cloud_plan(self) -> ReadingPlan:
        """How they are read there."""
        from docfleet.domain.cascade import CascadePolicy, Route
        from docfleet.pipeline.recognise import ReadingPlan

        reading = self.settings.reading
        forced = CascadePolicy(force=Route.OCR)
        return ReadingPlan(lambda: self.cloud_engine, forced, reading.render_dpi, reading.languages)

    # --- the service

    @cached_property
    def ledger(self) -> Ledger:
        """Raises `LedgerUnavailable` while the database cannot be reached; ask again then."""
        from docfleet.ledger import Ledger

        work, fleet = self.settings.work, self.settings.fleet
        return Ledger.open(
            ledger_address(self.settings.service),
            lease_seconds=work.lease_seconds,
            durable=True,
            fencing=fleet.fencing,
        )

    @cached_property
    def desk(self) -> Desk:
        from docfleet.ledger.desk import Desk

        return Desk(self.ledger)

    @cached_property
    def budgets(self) -> Budgets:
        return open_budgets(self.settings, self.ledger)

    @cached_property
    def fleet_book(self) -> FleetBook:
        from docfleet.ledger.fleet_book import FleetBook

        return FleetBook(self.ledger, self.settings.service.region)

    @cached_property
    def tallies(self) -> Tallies:
        from docfleet.ledger.tallies import Tallies

        return Tallies(self.ledger)

    @cached_property
    def access(self) -> Access:
        from docfleet.ledger.access import Access

        return Access(self.ledger)

    @cached_property
    def webhooks(self) -> Webhooks:
        from docfleet.ledger.webhooks import Webhooks

        return Webhooks(self.ledger)

    @cached_property
    def store(self) -> Store:
        """Bytes as they lie there, encrypted; `content_store` reads and writes them."""
        from docfleet.store.open import open_store

        service = self.settings.service
        return open_store(service.store_url or service.data_folder / STORE_FOLDER)

    @cached_property
    def master_key(self) -> MasterKey:
        """From the settings, or from the data folder, where it is made for a service that runs on this machine alone.

        Raises `UsageError` when there is none and one may not be made.
        """
        from docfleet.store.encryption import MasterKey

        service = self.settings.service
        if service.master_key:
            return MasterKey.from_base64(service.master_key)
        if service.master_key_file is not None:
            if not service.master_key_file.is_file():
                raise UsageError(
                    f"There is no master key at {service.master_key_file}: `docfleet master-key new` prints one."
                )
            return MasterKey.from_base64(service.master_key_file.read_text(encoding="ascii").strip())
        path = service.data_folder / MASTER_KEY_FILE
        if not path.exists():
            self._make_master_key(path)
        return MasterKey.from_base64(path.read_text(encoding="ascii").strip())

    def _make_master_key(self, path: Path) -> None:
        from docfleet.store.encryption import MasterKey

        if is_postgres(self.settings.service):
            raise UsageError(
                "There is no master key: set DOCFLEET_SERVICE__MASTER_KEY or DOCFLEET_SERVICE__MASTER_KEY_FILE to the "
                "same one for all processes of the service; `docfleet master-key new` prints one."
            )
        if self._has_contents():
            raise UsageError(
                f"The master key {path} is gone, and without it nobody can read what is stored: put it back."
            )
        write_private(path, MasterKey.generate().to_base64() + "\n", replace=False)

    def _has_contents(self) -> bool:
        from sqlalchemy import select

        from docfleet.ledger.service_rows import ContentRow

        with self.ledger.reading() as session:
            kept = select(ContentRow.id).where(ContentRow.wrapped_key.is_not(None))
            return session.execute(kept.limit(1)).first() is not None

    def content_store(self, wrapped_key: bytes) -> Store:
        """The store as the holder of one content's key sees it. `wrapped_key`: as the ledger keeps it."""
        from docfleet.store.encryption import EncryptedStore

        return EncryptedStore(self.store, self.master_key.unwrap(wrapped_key))

    @cached_property
    def queue_options(self) -> QueueOptions | None:
        """None: there is no broker, workers ask the ledger."""
        url = self.settings.service.broker_url
        return self._redis_options(url) if url else None

    def _redis_options(self, url: str) -> QueueOptions:
        from docfleet.queues.options import QueueOptions

        service = self.settings.service
        files = (service.broker_ca_file, service.broker_cert_file, service.broker_key_file)
        ca_file, cert_file, key_file = (str(file) if file else None for file in files)
        return QueueOptions(
            broker_url=url,
            sentinel_master=service.sentinel_master,
            sentinel_password=service.sentinel_password,
            ca_file=ca_file,
            cert_file=cert_file,
            key_file=key_file,
            debug_events=self.settings.fleet.debug_events,
        )

    @cached_property
    def hints(self) -> Hints | None:
        """None: there is no broker."""
        from docfleet.queues.hints import Hints

        return Hints(self.queue_options) if self.queue_options else None

    def close(self) -> None:
        # in the order in which they use one another
        for name in ("engine", "cloud_engine", "sandbox", "hints", "access", "ledger"):
            part = self.__dict__.get(name)
            if part is not None:
                part.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write_private(path: Path, text: str, *, replace: bool = True) -> None:
    """Writes a file that only its owner may read, whole or not at all.

    Without `replace` a file that is there already stays, also when another process makes it at the same moment.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.{os.getpid()}.half")
    with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        if replace:
            half.replace(path)
        else:
            try:
                os.link(half, path)
            except FileExistsError:
                return
    finally:
        half.unlink(missing_ok=True)
