"""Settings under which Celery on Redis hangs or loses more than it must are refused."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import msgspec
import pytest

import docfleet
from docfleet.errors import UnsafeBroker
from docfleet.queues.app import make_app
from docfleet.queues.check import check_broker, unsafe_address, unsafe_server, unsafe_settings
from docfleet.queues.options import QueueOptions

SAFE = QueueOptions("redis://user:secret@localhost:6379/0")
SOUND_SERVER = {"redis_version": "7.0.15", "cluster_enabled": 0, "maxmemory_policy": "noeviction"}


def test_the_defaults_are_safe() -> None:
    assert unsafe_address(SAFE) == ""
    assert unsafe_settings(make_app(SAFE).conf) == ""


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("valkey://localhost:6379", "redis://"),
        ("amqp://localhost", "begin with"),
        ("localhost:6379", "begin with"),
        ("redis://localhost:6379/0?socket_timeout=600", "question mark"),
        ("redis://one:6379;redis://two:6379", "Cluster"),
        ("sentinel://one:26379;sentinel://two:26379", "sentinel_master"),
        ("redis:///0", "no host"),
    ],
)
def test_addresses_that_are_refused(url: str, said: str) -> None:
    assert said in unsafe_address(QueueOptions(url))
    with pytest.raises(UnsafeBroker, match=said.replace("?", ".")):
        check_broker(QueueOptions(url))


def test_sentinels_are_a_safe_address() -> None:
    assert unsafe_address(QueueOptions("sentinel://one:26379;sentinel://two:26379", sentinel_master="main")) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"socket_timeout": 0}, "socket_timeout"),
        ({"socket_timeout": 120}, "socket_timeout"),
        ({"connect_timeout": 0}, "socket_connect_timeout"),
        ({"health_check_interval": 0}, "health_check_interval"),
        ({"visibility_timeout": 30}, "visibility_timeout"),
        ({"visibility_timeout": 10**6}, "visibility_timeout"),
    ],
)
def test_options_that_are_refused(change: dict[str, Any], said: str) -> None:
    options = msgspec.structs.replace(SAFE, **change)
    assert said in unsafe_settings(make_app(options).conf)
    with pytest.raises(UnsafeBroker, match=said):
        check_broker(options)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task_acks_late", False),
        ("task_reject_on_worker_lost", True),
        ("task_ignore_result", False),
        ("task_publish_retry", True),
        ("worker_disable_prefetch", False),
        ("worker_prefetch_multiplier", 4),
        ("broker_connection_max_retries", 100),
        ("worker_send_task_events", True),
        ("worker_enable_remote_control", True),
    ],
)
def test_celery_settings_that_are_refused(name: str, value: Any) -> None:
    app = make_app(SAFE)
    app.conf[name] = value
    assert unsafe_settings(app.conf)


def test_events_may_be_turned_on_for_looking_for_a_fault() -> None:
    app = make_app(msgspec.structs.replace(SAFE, debug_events=True))
    assert app.conf.worker_send_task_events
    assert unsafe_settings(app.conf) == ""


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"redis_version": "5.0.14"}, "too old"),
        ({"cluster_enabled": 1}, "Cluster"),
        ({"maxmemory_policy": "allkeys-lru"}, "noeviction"),
    ],
)
def test_servers_that_are_refused(facts: dict[str, Any], said: str) -> None:
    assert unsafe_server(SOUND_SERVER) == ""
    assert said in unsafe_server({**SOUND_SERVER, **facts})


FORBIDDEN_ARGUMENTS = {
    "countdown",
    "eta",
    "rate_limit",
    "expires",
    "max_retries",
    "autoretry_for",
    "link",
    "link_error",
}
FORBIDDEN_METHODS = {"retry", "apply_async", "delay", "chord", "chain", "group", "starmap", "chunks"}


def celery_modules() -> list[Path]:
    source = Path(docfleet.__file__).parent
    return [
        path for path in source.rglob("*.py") if "celery" in path.read_text() or "docfleet.queues" in path.read_text()
    ]


def test_no_task_uses_what_redis_does_badly() -> None:
    """The ledger knows when a slice is due and how often it failed; Celery must not try to know it too."""
    found = []
    for path in celery_modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            named = {keyword.arg for keyword in node.keywords}
            bad = named & FORBIDDEN_ARGUMENTS
            if called in {"send_task", "task", "apply_async", "signature"} and "priority" in named:
                bad.add("priority")
            if called in FORBIDDEN_METHODS:
                bad.add(called)
            found += [f"{path.name}:{node.lineno}: {name}" for name in sorted(bad)]
    assert len(celery_modules()) >= 5
    assert found == []


def test_every_sentinel_is_asked_with_the_login_of_the_first() -> None:
    """Kombu uses the addresses one after another, each as it stands."""
    options = QueueOptions(
        "sentinel://me:p%40ss@one:26379/2;sentinel://two:26379;sentinel://three:26380/0", sentinel_master="main"
    )
    assert options.addresses == (
        "sentinel://me:p%40ss@one:26379/2",
        "sentinel://me:p%40ss@two:26379/2",
        "sentinel://me:p%40ss@three:26380/2",
    )
    assert make_app(options).conf.broker_url == ";".join(options.addresses)
    assert QueueOptions("sentinel://one;sentinel://two/1").addresses == ("sentinel://one", "sentinel://two")
    assert SAFE.addresses == (SAFE.broker_url,)


def test_sentinels_themselves_are_asked_with_patience_and_their_password() -> None:
    options = QueueOptions("sentinel://one", sentinel_master="main", sentinel_password="secret")
    asked = make_app(options).conf.broker_transport_options["sentinel_kwargs"]
    assert asked == {"socket_timeout": 2.0, "socket_connect_timeout": 2.0, "password": "secret"}
