"""Whether the broker may be used at all: asked once at start, and refused with the reason.

Redis with default settings hangs its clients for minutes when a failover is silent, throws keys away when it is full,
or spreads one queue over machines; each of these was seen to lose or stop work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import redis

from docfleet.errors import BrokerUnavailable, UnsafeBroker
from docfleet.queues.app import make_app
from docfleet.queues.options import SCHEMES, QueueOptions, connect

OLDEST_SERVER = (6, 2)
LONGEST_SOCKET_TIMEOUT = 10.0
SHORTEST_VISIBILITY = 900
LONGEST_VISIBILITY = 24 * 3600


def check_broker(options: QueueOptions) -> str:
    """Name and version of the server, when address, settings and server are safe.

    Raises UnsafeBroker with what is wrong, BrokerUnavailable when the server cannot be asked.
    """
    found = unsafe_address(options) or unsafe_settings(make_app(options).conf)
    if found:
        raise UnsafeBroker(found)
    try:
        with connect(options) as client:
            # INFO alone: an ACL for the fleet need not allow CONFIG
            facts = {**client.info("server"), **client.info("memory"), **client.info("cluster")}
    except redis.AuthenticationError as error:
        raise UnsafeBroker(f"The broker refused the user or password: {error}.") from error
    except redis.exceptions.NoPermissionError as error:
        raise UnsafeBroker(
            f"The broker's ACL must allow INFO, and the commands of lists, hashes and sets: {error}."
        ) from error
    except (redis.RedisError, OSError) as error:
        raise BrokerUnavailable(f"The broker cannot be reached: {error}.") from error
    found = unsafe_server(facts)
    if found:
        raise UnsafeBroker(found)
    return f"valkey {facts['valkey_version']}" if "valkey_version" in facts else f"redis {facts['redis_version']}"


def unsafe_address(options: QueueOptions) -> str:
    """What is wrong with the address; empty: nothing."""
    if options.scheme in ("valkey", "valkeys"):
        return "Write a Valkey's address as redis:// or rediss://."
    if options.scheme not in SCHEMES:
        return f"The broker's address has to begin with one of {', '.join(sorted(SCHEMES))}."
    parts = [urlsplit(part) for part in options.broker_url.split(";")]
    if any(part.query for part in parts):
        return "The broker's address must have no options after a question mark: they would go round this check."
    if options.is_sentinel and not options.sentinel_master:
        return "Name the master that the sentinels watch (service.sentinel_master)."
    if not options.is_sentinel and len(parts) > 1:
        return "Only sentinel:// takes several addresses; Redis Cluster is not supported as a broker."
    if not all(part.hostname for part in parts):
        return "The broker's address names no host."
    return ""


def unsafe_settings(conf: Mapping[str, Any]) -> str:
    """What is wrong with a Celery configuration; empty: nothing."""
    transport = conf["broker_transport_options"]
    if not 0 < float(transport.get("socket_timeout") or 0) <= LONGEST_SOCKET_TIMEOUT:
        return f"socket_timeout has to be set, to at most {LONGEST_SOCKET_TIMEOUT:g} s."
    if not 0 < float(transport.get("socket_connect_timeout") or 0) <= LONGEST_SOCKET_TIMEOUT:
        return f"socket_connect_timeout has to be set, to at most {LONGEST_SOCKET_TIMEOUT:g} s."
    if not transport.get("health_check_interval"):
        return "health_check_interval has to be set."
    if not SHORTEST_VISIBILITY <= transport.get("visibility_timeout", 3600) <= LONGEST_VISIBILITY:
        return f"visibility_timeout has to be between {SHORTEST_VISIBILITY} and {LONGEST_VISIBILITY} s."
    for name, wanted in _WANTED.items():
        if conf[name] != wanted:
            return f"{name} has to be {wanted}."
    events = ("worker_send_task_events", "task_send_sent_event", "worker_enable_remote_control")
    if len({bool(conf[name]) for name in events}) != 1:
        return "Events and remote control are turned on together, by debug_events, or not at all."
    return ""


_WANTED: dict[str, Any] = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": False,
    "task_ignore_result": True,
    "task_publish_retry": False,
    "worker_disable_prefetch": True,
    "worker_prefetch_multiplier": 1,
    "broker_connection_max_retries": None,
    "broker_connection_retry_on_startup": True,
}


def unsafe_server(facts: Mapping[str, Any]) -> str:
    """What is wrong with a server, by its INFO; empty: nothing."""
    version = str(facts.get("redis_version", "0"))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < OLDEST_SERVER:
        return f"Redis {version} is too old; it takes {'.'.join(map(str, OLDEST_SERVER))} or later, or any Valkey."
    if int(facts.get("cluster_enabled", 0)):
        return "Redis Cluster is not supported as a broker: use one server, or a master with replicas and Sentinel."
    if facts.get("maxmemory_policy", "noeviction") != "noeviction":
        return f"maxmemory-policy is {facts['maxmemory_policy']}: a full Redis would throw queues away; set noeviction."
    return ""
