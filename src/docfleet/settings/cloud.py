"""Cloud engines: what goes to them, how they are called, what they may cost; and the server that speaks like one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from docfleet.domain.pricing import OwnPrices
from docfleet.domain.urgency import Pool
from docfleet.settings.section import Names, Section

OWN = OwnPrices()
MOST_USD = 1_000_000.0


class CascadeSettings(Section):
    """The third step: pages that a cloud engine is to read."""

    cloud_engine: str = Field(
        "", description="Engine that reads what was read too poorly (`documentai`); empty: nothing leaves this service."
    )
    doubted_characters: float = Field(
        12.0,
        ge=0,
        description="Pages of which the local engine doubts so many characters go on: their number times one less its "
        "confidence.",
    )
    escalate_below: float = Field(
        0.9, ge=0, le=1, description="Pages it read with less confidence than this go on, however short."
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


class QuotaSettings(Section):
    """How calls to cloud engines are metered; the quotas themselves belong to the engine."""

    redis_url: str = Field(
        "",
        description="Redis that counts quotas and the requests of API keys for all processes; empty: the broker's. "
        "Without either each counts alone.",
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


class MoneySettings(Section):
    """What reading costs."""

    run_limit_usd: float | None = Field(
        None,
        ge=0,
        description="Most that one `docfleet process` may spend on a cloud engine; unset: any amount. Pages past it "
        "stay as they were read here, or end with `budget_exhausted`.",
    )

    worker_usd_per_hour: float = Field(
        OWN.worker_usd_per_hour,
        ge=0,
        le=MOST_USD,
        description="What an hour of one worker slot costs, at work or not: one vCPU with 2 GiB on AWS Fargate "
        "(us-east-1, Linux on x86, list price).",
    )
    pool_usd_per_hour: dict[Pool, Annotated[float, Field(ge=0, le=MOST_USD)]] = Field(
        {},
        description="Pools whose slots cost something else. A slot of `cloud`, which is one call under way, shares one "
        "worker's price with the others of its process where it is not named here.",
    )
    storage_usd_per_gib_month: float = Field(
        OWN.storage_usd_per_gib_month,
        ge=0,
        le=MOST_USD,
        description="What a GiB in the store costs for a month: Amazon S3 Standard (us-east-1, list price).",
    )
    stored_bytes_per_byte: float = Field(
        3.4, ge=1, le=1000, description="Bytes in the store, results included, for each byte that was submitted."
    )
    base_usd_per_month: float = Field(
        OWN.base_usd_per_month,
        ge=0,
        le=MOST_USD,
        description="What stands whatever is read (databases, broker, API), for a month.",
    )
    hosted_versions: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Versions of your own Document AI processors that are deployed; each costs by "
        "the hour, used or not.",
    )
    target_usd_per_document: float = Field(
        0.08,
        ge=0,
        le=MOST_USD,
        description="What a document may cost with everything, for `docfleet costs` to compare with.",
    )
    by_hand_minutes_per_page: float = Field(
        0.0, ge=0, le=10_000, description="How long a person takes to type a page, to compare with; 0: no comparison."
    )
    by_hand_usd_per_hour: float = Field(
        0.0, ge=0, le=MOST_USD, description="What an hour of that person costs you, employer's share included."
    )


class ProcessorSettings(Section):
    """One Document AI processor in one location."""

    id: str = Field(description="The last part of its resource name.")
    location: str = Field(description="`us`, `eu` or a single region.")
    type: str = Field("OCR_PROCESSOR", description="Its type, as the service calls it.")
    version: str = Field("", description="Processor version to pin; empty: the default one of the processor.")
    project: str = Field("", description="Its project, where that is another one.")


class DocumentAISettings(Section):
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


class DocumentAIServerSettings(Section):
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
