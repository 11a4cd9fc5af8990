"""What the queues have to know, and the plain Redis client made from it."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from docfleet.domain.urgency import HINTED_POOLS, Urgency, queue_name
from docfleet.errors import UnsafeBroker

KEY_PREFIX = "docfleet:"
"""Before every key in Redis: an ACL can keep the fleet to `~docfleet:*`."""
SCHEMES = frozenset({"redis", "rediss", "sentinel"})


class QueueOptions(msgspec.Struct, frozen=True):
    """Where the broker is and how patient its clients are. Times in seconds."""

    broker_url: str
    """`redis://[user:password@]host:port/0`, `rediss://…`, or `sentinel://host:port;sentinel://host:port`."""
    sentinel_master: str = ""
    sentinel_password: str = ""
    """Of the sentinels themselves; empty: they ask for none."""
    ca_file: str | None = None
    """Certificates to trust for `rediss://`; None: the system's. With it `sentinel://` speaks TLS as well."""
    cert_file: str | None = None
    """Own certificate, where the server asks for one (mutual TLS)."""
    key_file: str | None = None
    socket_timeout: float = 5.0
    """Without one a silent failover hangs its clients for minutes."""
    connect_timeout: float = 2.0
    health_check_interval: int = 5
    visibility_timeout: int = 3600
    """Redis gives a hint out again after this long; a backstop only, since the ledger notices long before."""
    debug_events: bool = False
    """Turns on what Flower needs, at two fifths of the throughput."""

    @property
    def scheme(self) -> str:
        return urlsplit(self.broker_url).scheme

    @property
    def is_sentinel(self) -> bool:
        return self.scheme == "sentinel"

    @property
    def addresses(self) -> tuple[str, ...]:
        """One, or that of each sentinel. All have the login and the database of the first: clients use them in turn."""
        first, *others = (urlsplit(part) for part in self.broker_url.split(";"))
        login = first.netloc.rpartition("@")[0]
        same = [
            part._replace(netloc=f"{login}@{part.netloc.rpartition('@')[2]}" if login else part.netloc, path=first.path)
            for part in others
        ]
        return tuple(part.geturl() for part in (first, *same))

    @property
    def is_tls(self) -> bool:
        return self.scheme == "rediss" or (self.is_sentinel and self.ca_file is not None)


def queues_of(pool: str) -> tuple[str, ...]:
    """The queues of a pool, the most urgent first."""
    return tuple(queue_name(pool, urgency) for urgency in Urgency)


def all_queues() -> tuple[str, ...]:
    return tuple(name for pool in HINTED_POOLS for name in queues_of(pool))


def connect(options: QueueOptions) -> redis.Redis:
    """A client that gives up soon and never tries again by itself. Connects on first use; threads may share it.

    Raises UnsafeBroker for an address that is none.
    """
    patience: dict[str, Any] = {
        "socket_timeout": min(options.socket_timeout, 2.0),
        "socket_connect_timeout": options.connect_timeout,
        "socket_keepalive": True,
        "health_check_interval": options.health_check_interval,
        "retry": Retry(NoBackoff(), 0),
    }
    try:
        if options.is_sentinel:
            return _by_sentinel(options, patience)
        if options.is_tls:
            patience |= tls_options(options)
        return redis.Redis.from_url(options.broker_url, **patience)
    except ValueError as error:
        raise UnsafeBroker(f"The broker's address is wrong: {error}.") from error


def tls_options(options: QueueOptions) -> dict[str, Any]:
    """How the server's certificate is checked, and which one is shown, for redis-py and kombu alike."""
    files = {"ssl_ca_certs": options.ca_file, "ssl_certfile": options.cert_file, "ssl_keyfile": options.key_file}
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, **{name: file for name, file in files.items() if file}}


def sentinel_options(options: QueueOptions) -> dict[str, Any]:
    """How the sentinels themselves are asked, for redis-py and kombu alike."""
    return {
        "socket_timeout": min(options.socket_timeout, 2.0),
        "socket_connect_timeout": options.connect_timeout,
        **({"password": options.sentinel_password} if options.sentinel_password else {}),
        **({"ssl": True, **tls_options(options)} if options.is_tls else {}),
    }


def _by_sentinel(options: QueueOptions, patience: dict[str, Any]) -> redis.Redis:
    parts = [urlsplit(part) for part in options.broker_url.split(";")]
    first = parts[0]
    database = int(first.path.strip("/") or 0)
    login: dict[str, Any] = {"username": unquote(first.username)} if first.username else {}
    login |= {"password": unquote(first.password)} if first.password else {}
    sentinels = Sentinel(
        [(part.hostname or "localhost", part.port or 26379) for part in parts],
        sentinel_kwargs=sentinel_options(options) | {"retry": patience["retry"]},
    )
    tls = {"ssl": True, **tls_options(options)} if options.is_tls else {}
    client: redis.Redis = sentinels.master_for(options.sentinel_master, db=database, **login, **patience, **tls)
    return client
