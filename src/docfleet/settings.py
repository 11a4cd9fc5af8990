"""The only reader of the environment and of docfleet.toml.

Order, first wins: command-line options, `DOCFLEET_*` environment variables (nested with two underscores:
`DOCFLEET_LIMITS__MAX_PAGES`), `docfleet.toml` in the working directory (or the file `DOCFLEET_CONFIG` names), defaults.
Units are in the names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from docfleet.errors import UsageError

MEBIBYTE = 1024 * 1024


def _split_commas(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)]
"""A list that the environment gives as `a,b,c`."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LimitSettings(_Section):
    """What one document may cost. Each refusal has a code of its own."""

    max_file_bytes: int = Field(1024 * MEBIBYTE, gt=0, description="Largest file that is read (`too_many_bytes`).")
    max_pages: int = Field(10_000, gt=0, description="Most pages of one document (`too_many_pages`).")
    max_page_pixels: int = Field(
        100_000_000, gt=0, description="Most pixels of one page, as stored or as rendered (`page_too_large`)."
    )
    page_seconds: float = Field(
        30.0, gt=0, description="Wall-clock and CPU seconds of parsing or rendering one page (`timed_out`)."
    )
    open_seconds: float = Field(
        60.0, gt=0, description="Wall-clock and CPU seconds of opening and repairing one document (`timed_out`)."
    )
    sandbox_memory_bytes: int = Field(
        1536 * MEBIBYTE, ge=128 * MEBIBYTE, description="Memory of the process that parses (`out_of_memory`)."
    )
    sandbox_recycle_requests: int = Field(2_000, gt=0, description="A fresh parser process after this many requests.")
    sandbox_recycle_bytes: int = Field(
        700 * MEBIBYTE, gt=0, description="A fresh parser process once its resident memory passes this."
    )
    archive_max_members: int = Field(10_000, gt=0, description="Most files in one archive (`archive_unsafe`).")
    archive_max_bytes: int = Field(
        2048 * MEBIBYTE, gt=0, description="Most bytes one archive may unpack to (`archive_unsafe`)."
    )
    archive_max_ratio: float = Field(
        300.0, gt=1, description="Largest unpacked-to-packed ratio of one archive member (`archive_unsafe`)."
    )
    archive_max_depth: int = Field(
        3, ge=1, description="How deep archives may nest; 1: no archives in archives (`archive_unsafe`)."
    )


class ReadingSettings(_Section):
    """How pages are read."""

    engine: str = Field("rapidocr", description="Engine that reads pixels; `docfleet engines` lists what is installed.")
    languages: Names = Field((), description="Languages to expect, BCP 47 (`en,de`); empty: find out.")
    mode: str = Field(
        "auto",
        pattern="^(auto|ocr|text)$",
        description="`auto` decides page by page; `ocr` reads all pixels; `text` takes text layers only.",
    )
    render_dpi: int = Field(200, ge=72, le=600, description="Resolution at which PDF pages are rendered for OCR.")
    slice_pages: int = Field(8, ge=1, le=500, description="Pages of one slice: the unit of work and of retry.")


class CascadeSettings(_Section):
    """The third step: pages that a cloud engine is to read."""

    cloud_engine: str = Field(
        "", description="Engine that reads what was read too poorly (`documentai`); empty: nothing leaves this service."
    )
    escalate_below: float = Field(
        0.98, ge=0, le=1, description="Pages the local engine read with less confidence than this go on."
    )
    on_refusal: str = Field(
        "local",
        pattern="^(local|wait|fail)$",
        description="A page the cloud engine does not read: the local result stands, it waits, or it fails.",
    )
    share_requests_between_tenants: bool = Field(
        False, description="Pages of several tenants may travel in one request."
    )
    max_wait_ms: dict[str, int] = Field(
        {"critical": 0, "high": 100, "normal": 400, "bulk": 2000},
        description="How long a page waits for company in its request, by priority.",
    )
    local_after_seconds: float = Field(
        900.0, ge=0, description="With `on_refusal` local: a page that waited so long for quota stays as it was read."
    )
    calls_in_flight: int = Field(16, ge=1, le=512, description="Requests one cloud worker has under way at a time.")


class WorkSettings(_Section):
    """How work is shared out."""

    workers: int = Field(0, ge=0, description="Worker processes; 0: one for each CPU core this process may use.")
    lease_seconds: float = Field(15.0, gt=0, description="A worker that is silent for this long loses its slice.")
    heartbeat_seconds: float = Field(3.0, gt=0, description="How often a worker renews its lease.")
    slice_seconds: float = Field(
        900.0,
        gt=0,
        description="Wall-clock seconds one slice may take before its worker is replaced (in the end: `worker_died`).",
    )


class OutputSettings(_Section):
    """What is written."""

    formats: Names = Field(
        ("json", "md", "txt", "pdf", "csv"), description="Result formats: json, md, txt, pdf, csv, hocr."
    )
    report: bool = Field(True, description="Write `report.pdf` for the batch.")


class ServiceSettings(_Section):
    """Where the service keeps what it knows. The API, the dispatcher and every worker of one service share these."""

    data_folder: Path = Field(
        Path("docfleet-data"),
        description="Folder for the ledger, the store and the first keys when run on one machine.",
    )
    region: str = Field("local", description="Region of this process; every row it makes carries it.")
    ledger_url: str = Field(
        "", description="`postgresql://…`, or a path for SQLite; empty: `ledger.db` in the data folder."
    )
    store_url: str = Field(
        "", description="`s3://…`, `gs://…`, `az://…`, `file:///…`; empty: `store/` in the data folder."
    )
    broker_url: str = Field(
        "", description="`redis://…`, `rediss://…`, `sentinel://…;sentinel://…`; empty: direct mode, no broker."
    )
    sentinel_master: str = Field("", description="Name of the master when the broker is reached through Sentinel.")
    broker_ca_file: Path | None = Field(None, description="Certificates to trust for `rediss://`.")
    master_key: str = Field(
        "", description="Master key of the encryption at rest, base64 (see `docfleet master-key new`)."
    )
    master_key_file: Path | None = Field(
        None, description="File with the master key; on one machine it is made in the data folder if need be."
    )


class ApiSettings(_Section):
    """The REST API."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0: any free one.")
    tls_cert_file: Path | None = Field(None, description="Certificate chain (PEM); with it the API speaks HTTPS only.")
    tls_key_file: Path | None = Field(None, description="Private key of the certificate (PEM).")
    public_url: str = Field("", description="Address the outside knows the API by, for links.")
    requests_per_minute: int = Field(1200, gt=0, description="Requests one key may make a minute (`rate_limited`).")
    max_waiting_documents: int = Field(
        1_000_000, gt=0, description="Open documents past which new ones are refused (`overloaded`)."
    )
    max_tenant_waiting_documents: int = Field(
        500_000, gt=0, description="Open documents of one tenant past which new ones are refused (`overloaded`)."
    )
    min_free_bytes: int = Field(
        512 * MEBIBYTE,
        ge=0,
        description="Free disk below which new documents are refused, where the store is a folder.",
    )
    max_concurrent_uploads: int = Field(32, gt=0, description="Uploads one API process takes at a time (`overloaded`).")
    allowed_sources: Names = Field(
        (), description="Buckets documents may be fetched from: `s3://bucket/prefix,gs://…`."
    )
    engines: Names = Field(
        (), description="Engines a submission may ask for; none: any, and workers say when they lack it."
    )
    idempotency_hours: float = Field(24.0, gt=0, description="How long an Idempotency-Key is remembered.")


class FleetSettings(_Section):
    """Workers and dispatcher of the service."""

    slots: int = Field(0, ge=0, description="Slices one worker works on at a time; 0: one for each CPU core.")
    window_per_slot: float = Field(2.5, gt=1, description="Hints kept in the broker for each slot of a pool.")
    tick_seconds: float = Field(0.5, gt=0, le=1, description="How often the dispatcher looks, woken or not.")
    grace_seconds: float = Field(20.0, gt=0, description="Time a stopping worker has to finish or hand back.")
    worker_memory_bytes: int = Field(
        4096 * MEBIBYTE, ge=256 * MEBIBYTE, description="A worker process past this is ended (`out_of_memory`)."
    )
    recycle_slices: int = Field(2000, gt=0, description="A fresh worker process after this many slices.")
    recycle_bytes: int = Field(
        1536 * MEBIBYTE, gt=0, description="A fresh worker process, between slices, once its memory passes this."
    )
    idle_restart_seconds: float = Field(
        30.0, gt=0, description="A worker whose queue is not empty while a slot idles this long restarts itself."
    )
    stuck_seconds: float = Field(
        300.0, gt=0, description="Oldest waiting is older than this and nothing drains: alarm."
    )
    orphan_hours: float = Field(24.0, gt=0, description="Stored bytes that nothing points to are deleted after this.")
    fencing: bool = Field(True, description="Off only to prove that the auditor notices; never in service.")
    repair: bool = Field(True, description="Off only to prove that the auditor notices; never in service.")


class QuotaSettings(_Section):
    """How calls to cloud engines are metered; the quotas themselves belong to the engine."""

    redis_url: str = Field(
        "", description="Redis that counts for all processes; empty: the broker's. Without either each counts alone."
    )
    sharers: int = Field(
        4, ge=1, description="Into how many parts a quota is divided while its Redis is away, at least."
    )
    burst_seconds: float = Field(1.0, ge=0, description="How far ahead of its time a minute's quota may be used.")
    headroom: float = Field(
        0.02, ge=0, lt=1, description="Share of a quota left unused, since calls arrive less evenly than they are sent."
    )
    urgent_share: float = Field(
        0.2, ge=0, le=1, description="Share of a quota held back for critical and high priority while any waits."
    )
    place_seconds: float = Field(
        300.0, gt=0, description="A call that has not ended after this counts as ended: longer than any call may take."
    )
    breaker_slow_seconds: float = Field(60.0, gt=0, description="A call that takes longer is slow.")
    breaker_open_seconds: float = Field(
        5.0, gt=0, description="How long an endpoint that failed is left alone first; doubles up to a minute."
    )


class DeliverySettings(_Section):
    """Webhooks."""

    timeout_seconds: float = Field(10.0, gt=0, description="How long a receiver may take to answer.")
    retry_hours: float = Field(24.0, gt=0, description="For how long a failed delivery is tried again.")
    allow_private: bool = Field(
        False, description="Allow webhooks to private, loopback and link-local addresses; for tests and laptops."
    )
    concurrency: int = Field(8, gt=0, description="Deliveries under way at a time.")


class MoneySettings(_Section):
    """What reading costs."""

    worker_usd_per_hour: float = Field(
        0.0, ge=0, description="What an hour of one worker slot costs you, for `docfleet costs`; 0: not told."
    )


class ProcessorSettings(_Section):
    """One Document AI processor in one location."""

    id: str = Field(description="The last part of its resource name.")
    location: str = Field(description="`us`, `eu` or a single region.")
    type: str = Field("OCR_PROCESSOR", description="Its type, as the service calls it.")
    version: str = Field("", description="Processor version to pin; empty: the default one of the processor.")
    project: str = Field("", description="Its project, where that is another one.")


class DocumentAISettings(_Section):
    """The engine `documentai`: Google Document AI."""

    project: str = Field("", description="Project of the processors.")
    processors: tuple[ProcessorSettings, ...] = Field(
        (), description="Processors there are, each with `id`, `location`, `type`, `version`, `project`."
    )
    processor_type: str = Field("OCR_PROCESSOR", description="Type of the processors that read pages.")
    locations: Names = Field(
        (), description="Where documents may be sent, in the order of preference; empty: to every processor there is."
    )
    residency: dict[str, tuple[str, ...]] = Field(
        {}, description="Tenant and the only locations its documents may be sent to."
    )
    api_key: str = Field("", description="API key.")
    credentials_file: str = Field(
        "",
        description="Service account key or workload identity configuration; empty: application default credentials.",
    )
    anonymous: bool = Field(False, description="Call without credentials, as an emulator allows.")
    endpoint: str = Field("", description="`host:port` in place of Google's; may hold `{location}`.")
    insecure: bool = Field(False, description="Without TLS, as an emulator may want it.")
    ca_file: str = Field("", description="Certificates to trust (PEM); empty: the usual ones.")
    client_cert_file: str = Field("", description="Own certificate for mutual TLS (PEM).")
    client_key_file: str = Field("", description="Its private key (PEM).")
    transport: str = Field("grpc", pattern="^(grpc|rest)$", description="`rest` where no gRPC passes; far slower.")
    imageless: bool = Field(True, description="Answers without page images: twice the pages a request.")
    native_pdf: bool = Field(False, description="Take the text of digital PDF pages in place of their pixels.")
    quality_scores: bool = Field(True, description="Ask for image quality scores.")
    symbols: bool = Field(False, description="Ask for single characters, too.")
    premium: Names = Field((), description="Paid add-ons: `math`, `selection_marks`, `style`.")
    connect_seconds: float = Field(10.0, gt=0, description="How long connecting may take.")
    call_seconds: float = Field(60.0, gt=0, description="How long a call of one page may take.")
    page_seconds: float = Field(3.0, ge=0, description="How much longer for each further page.")
    patience_seconds: float = Field(
        300.0, ge=0, description="How long `docfleet process` waits for quota before a page fails (`engine_busy`)."
    )
    hedge: bool = Field(True, description="A second call for an urgent page that is late, where quota is plentiful.")
    batch_uri: str = Field(
        "",
        description="`gs://bucket/prefix` for pages that are read in batches; may hold `{location}`; empty: none are.",
    )
    batch_store_url: str = Field(
        "", description="The same place as the address of a store, where that differs; may hold `{location}`."
    )
    batch_urgencies: Names = Field(("bulk",), description="Priorities whose pages are read in batches.")
    batch_max_files: int = Field(1000, ge=1, le=5000, description="Most files of one batch, each up to ten pages.")
    batch_wait_seconds: float = Field(60.0, ge=0, description="How long files are gathered for a batch.")
    batch_hours: float = Field(
        12.0, gt=0, description="A file that has waited so long for a place in a batch is read by itself."
    )
    overrides: dict[str, Any] = Field(
        {}, description="Limits, quotas and prices that differ from the shipped ones, by the same names."
    )


class DocumentAIServerSettings(_Section):
    """`docfleet documentai-server`: docfleet by the API of Google Document AI."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    grpc_port: int = Field(8081, ge=-1, le=65535, description="Port for gRPC; 0: any free one, -1: no gRPC.")
    rest_port: int = Field(8082, ge=-1, le=65535, description="Port for REST; 0: any free one, -1: no REST.")
    tls_cert_file: Path | None = Field(None, description="Certificate chain (PEM); with it both ports speak TLS only.")
    tls_key_file: Path | None = Field(None, description="Private key of the certificate (PEM).")
    tls_self_signed: Path | None = Field(
        None, description="Folder for a certificate made here and the authority that clients are told to trust."
    )
    client_ca_file: Path | None = Field(
        None, description="Authority (PEM) whose certificates callers must show: mutual TLS."
    )
    keys_file: Path | None = Field(
        None, description="API keys, one a line as `name key`; without it everybody may call."
    )
    processors: Names = Field(
        (), description="Ids of processors there are beside the built-in ones, as `id=OCR_PROCESSOR,…`."
    )
    unknown_processors: str = Field(
        "", description="Type that every other processor id is answered as; empty: they are not found."
    )
    locations: Names = Field((), description="Locations that are served; empty: all that are known.")
    projects: Names = Field((), description="Ids or numbers of the projects that are served; empty: any.")
    always_pixels: bool = Field(
        False, description="Read pixels unless `enable_native_pdf_parsing` is asked for, as Google does."
    )
    readers: int = Field(0, ge=0, description="Documents read at a time; 0: one for each CPU core.")
    waiting: int = Field(16, ge=0, description="Documents that may wait for a reader; more are RESOURCE_EXHAUSTED.")
    document_seconds: float = Field(300.0, gt=0, description="A document that takes longer is DEADLINE_EXCEEDED.")
    max_calls: int = Field(128, gt=0, description="Calls under way at a time, waiting ones counted.")
    data_folder: Path | None = Field(
        None, description="Folder for processors that are made and for operations; empty: gone with the process."
    )
    storage_folder: Path | None = Field(
        None, description="Folder with the buckets that `gs://` names, each a folder; empty: no storage, no batches."
    )
    emulation_plan: Path | None = Field(None, description="Quotas, latencies and faults to play, a TOML or JSON file.")
    emulation_port: int | None = Field(
        None, ge=0, le=65535, description="Port on this machine at which the plan is changed live; empty: none."
    )


def _toml_file() -> Path:
    return Path(os.environ.get("DOCFLEET_CONFIG", "docfleet.toml"))


class Settings(BaseSettings):
    """Everything that can be set, frozen once read."""

    model_config = SettingsConfigDict(
        env_prefix="DOCFLEET_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        nested_model_default_partial_update=True,
    )

    limits: LimitSettings = LimitSettings()
    reading: ReadingSettings = ReadingSettings()
    cascade: CascadeSettings = CascadeSettings()
    work: WorkSettings = WorkSettings()
    output: OutputSettings = OutputSettings()
    service: ServiceSettings = ServiceSettings()
    api: ApiSettings = ApiSettings()
    fleet: FleetSettings = FleetSettings()
    quota: QuotaSettings = QuotaSettings()
    delivery: DeliverySettings = DeliverySettings()
    money: MoneySettings = MoneySettings()
    documentai: DocumentAISettings = DocumentAISettings()
    documentai_server: DocumentAIServerSettings = DocumentAIServerSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=_toml_file()))


def read_settings(**overrides: dict[str, Any]) -> Settings:
    """Reads settings; `overrides` maps a section to the values given on the command line (None: not given).

    Raises `UsageError` with the name of the setting that is wrong.
    """
    config = os.environ.get("DOCFLEET_CONFIG")
    if config and not Path(config).is_file():
        raise UsageError(f"DOCFLEET_CONFIG names {config}, which is not a file.")
    given = {
        section: kept
        for section, values in overrides.items()
        if (kept := {name: value for name, value in values.items() if value is not None})
    }
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"The setting {where} is wrong: {first['msg']}.") from error
    except ValueError as error:
        raise UsageError(f"{_toml_file()} cannot be read: {error}.") from error
