"""The service: where it keeps what it knows, its API, its workers."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from docfleet.settings.section import MEBIBYTE, Names, Section


class ServiceSettings(Section):
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
    sentinel_password: str = Field("", description="Password of the sentinels themselves; empty: they ask for none.")
    broker_ca_file: Path | None = Field(
        None, description="Certificates to trust for `rediss://`; with it `sentinel://` speaks TLS as well."
    )
    broker_cert_file: Path | None = Field(None, description="Own certificate for Redis (PEM), where it asks for one.")
    broker_key_file: Path | None = Field(None, description="Private key of that certificate (PEM).")
    master_key: str = Field(
        "", description="Master key of the encryption at rest, base64 (see `docfleet master-key new`)."
    )
    master_key_file: Path | None = Field(
        None, description="File with the master key; on one machine it is made in the data folder if need be."
    )


class ApiSettings(Section):
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


class FleetSettings(Section):
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
    debug_events: bool = Field(
        False, description="Workers tell Flower what they do, at two fifths of the throughput; for looking into queues."
    )
    fencing: bool = Field(True, description="Off only to prove that the auditor notices; never in service.")
    repair: bool = Field(True, description="Off only to prove that the auditor notices; never in service.")


class DeliverySettings(Section):
    """Webhooks."""

    timeout_seconds: float = Field(10.0, gt=0, description="How long a receiver may take to answer.")
    retry_hours: float = Field(24.0, gt=0, description="For how long a failed delivery is tried again.")
    allow_private: bool = Field(
        False, description="Allow webhooks to private, loopback and link-local addresses; for tests and laptops."
    )
    concurrency: int = Field(8, gt=0, description="Deliveries under way at a time.")
