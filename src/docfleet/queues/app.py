"""The Celery app. Every setting here was measured; the table with the reasons is docs/explanation/reliability.md.

Celery on Redis loses messages under every setting there is, so they carry slice ids and nothing else, and losing one
costs a second. There is no countdown, eta, retry, rate limit, chord or priority anywhere: the ledger knows when a slice
is due.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from kombu import Exchange, Queue

from docfleet.errors import UnsafeBroker
from docfleet.queues.options import KEY_PREFIX, SCHEMES, QueueOptions, all_queues, sentinel_options, tls_options
from docfleet.queues.transport import BrokerConnection

WORK_SLICE = "docfleet.work_slice"
"""The one task: `work_slice(slice_id: int)`."""


class _Amqp(AMQP):  # type: ignore[misc]
    Connection = BrokerConnection


def make_app(options: QueueOptions) -> Celery:
    """An app of its own, not Celery's current one; connects on first use.

    Raises UnsafeBroker for an address it cannot use safely (see `check.unsafe_address`).
    """
    if options.scheme not in SCHEMES:
        raise UnsafeBroker(f"The broker's address has to begin with one of {', '.join(sorted(SCHEMES))}.")
    app = Celery("docfleet", broker=";".join(options.addresses), set_as_current=False, amqp=_Amqp)
    app.conf.update(
        **_TASKS,
        **_WORKERS,
        **_BROKER,
        broker_connection_timeout=options.connect_timeout,
        broker_transport_options=_transport(options),
        broker_use_ssl=tls_options(options) if options.is_tls else None,
        worker_send_task_events=options.debug_events,
        task_send_sent_event=options.debug_events,
        worker_enable_remote_control=options.debug_events,
        task_queues=[Queue(name, Exchange("", type="direct"), routing_key=name) for name in all_queues()],
    )
    return app


_TASKS: dict[str, Any] = {
    "task_acks_late": True,
    # a lost worker's hint must not come back at once, again and again: the ledger counts crashes
    "task_reject_on_worker_lost": False,
    "task_acks_on_failure": True,
    "task_acks_on_timeout": True,
    "task_ignore_result": True,
    "result_backend": None,
    "task_publish_retry": False,
    "task_create_missing_queues": False,
    "task_default_queue": all_queues()[0],
    "task_serializer": "json",
    "accept_content": ["json"],
    "task_store_errors_even_if_ignored": False,
    "task_track_started": False,
}
_WORKERS: dict[str, Any] = {
    "worker_disable_prefetch": True,
    "worker_prefetch_multiplier": 1,
    "worker_enable_prefetch_count_reduction": False,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_detect_quorum_queues": False,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
}
_BROKER: dict[str, Any] = {
    "broker_connection_retry": True,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_heartbeat": 0,
    "broker_pool_limit": 4,
}


def _transport(options: QueueOptions) -> dict[str, Any]:
    return {
        "socket_timeout": options.socket_timeout,
        "socket_connect_timeout": options.connect_timeout,
        "socket_keepalive": True,
        "health_check_interval": options.health_check_interval,
        "retry_on_timeout": False,
        "visibility_timeout": options.visibility_timeout,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "global_keyprefix": KEY_PREFIX,
        "queue_order_strategy": "docfleet.queues.order:UrgentFirst",
        "priority_steps": [0],
        **_sentinel(options),
    }


def _sentinel(options: QueueOptions) -> dict[str, Any]:
    if not options.is_sentinel:
        return {}
    return {"master_name": options.sentinel_master, "sentinel_kwargs": sentinel_options(options)}
