"""The dispatcher as a process or as threads: built from a runtime."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from docfleet.delivery.run import DeliveryOptions, DeliveryParts, run_delivery
from docfleet.dispatch.chores import Chore
from docfleet.dispatch.leader import FileLeader, Leader, PostgresLeader
from docfleet.dispatch.parts import DispatchOptions, DispatchParts
from docfleet.dispatch.run import run_dispatcher
from docfleet.dispatch.telling import LOOK_SECONDS, Telling
from docfleet.dispatch.waking import PostgresWaking, SqliteWaking, Waking
from docfleet.runtime import Runtime, is_postgres, ledger_address
from docfleet.stack.brain import Brain, pools_of
from docfleet.stack.ledger_metrics import ledger_metrics
from docfleet.stack.metrics import telling
from docfleet.stack.reporting import report_chores
from docfleet.stack.roles import Liveness, stopping_on_signals, wait_for_ledger, write_gauges
from docfleet.telemetry import logger
from docfleet.telemetry.otlp import exporting

if TYPE_CHECKING:
    from docfleet.queues.options import QueueOptions

_log = logger(__name__)
_JOIN_SECONDS = 20.0


def dispatch_parts(
    runtime: Runtime, alive: Callable[[], None], show: Callable[[dict[str, float]], None]
) -> DispatchParts:
    """Opens ledger and store. On Postgres any number of dispatchers may run, on SQLite those of one machine."""
    service, fleet = runtime.settings.service, runtime.settings.fleet
    brain = Brain(runtime)
    traces = Telling(runtime.ledger, service.region)

    def begin() -> None:
        brain.begin()
        traces.begin()

    leader: Leader
    waking: Waking
    if is_postgres(service):
        leader, waking = PostgresLeader(service.ledger_url, service.region), PostgresWaking(service.ledger_url)
    else:
        path = Path(ledger_address(service))
        leader, waking = FileLeader(path.with_name(f"{path.name}.dispatcher")), SqliteWaking(path)
    return DispatchParts(
        ledger=runtime.ledger,
        desk=runtime.desk,
        store=runtime.store,
        hints=runtime.hints,
        leader=leader,
        waking=waking,
        options=DispatchOptions(
            tick_seconds=fleet.tick_seconds,
            window_per_slot=fleet.window_per_slot,
            stuck_seconds=fleet.stuck_seconds,
            orphan_hours=fleet.orphan_hours,
            idempotency_hours=runtime.settings.api.idempotency_hours,
            repair=fleet.repair,
        ),
        alive=alive,
        count_use=runtime.budgets.count_use,
        show=lambda gauges: show(gauges | brain.gauges()),
        beside=[*brain.chores, Chore("traces", LOOK_SECONDS, traces.look)],
        apart=report_chores(runtime),
        begin=begin,
    )


def keep_house(runtime: Runtime, stop: threading.Event, parts: DispatchParts) -> None:
    """Dispatches and delivers webhooks until `stop` is set. Deliveries are leased, so every dispatcher may deliver."""
    delivering = threading.Thread(
        target=run_delivery, args=(_delivery_parts(runtime), stop), name="delivery", daemon=True
    )
    delivering.start()
    with ledger_metrics(runtime, parts.leading, pools_of(runtime.settings)):
        run_dispatcher(parts, stop)
    delivering.join(_JOIN_SECONDS)


def _delivery_parts(runtime: Runtime) -> DeliveryParts:
    delivery = runtime.settings.delivery
    options = DeliveryOptions(
        timeout_seconds=delivery.timeout_seconds,
        retry_seconds=delivery.retry_hours * 3600,
        allow_private=delivery.allow_private,
        concurrency=delivery.concurrency,
    )
    return DeliveryParts(runtime.webhooks, runtime.master_key, options)


def dispatcher_process(runtime: Runtime, liveness: Path | None, metrics: Path | None) -> None:
    """The role `dispatcher`: runs until SIGTERM or SIGINT. Refuses unsafe broker settings (`UnsafeBroker`)."""
    settings = runtime.settings
    traces = exporting(settings.telemetry.otlp_options(), "dispatcher", settings.service.region)
    with traces, stopping_on_signals() as stop, telling(settings, "dispatcher"):
        alive = Liveness(liveness)
        if (options := runtime.queue_options) is not None:
            _check_broker(options)
        if not wait_for_ledger(runtime, stop, alive):
            return
        show: Callable[[dict[str, float]], None] = (lambda gauges: write_gauges(metrics, gauges)) if metrics else _drop
        _log.info("dispatcher_started", region=runtime.settings.service.region)
        keep_house(runtime, stop, dispatch_parts(runtime, alive.touch, show))
        alive.end()


def _check_broker(options: QueueOptions) -> None:
    """A broker that is away is no reason not to start: it may come back, and workers check its settings too."""
    from docfleet.errors import BrokerUnavailable
    from docfleet.queues.check import check_broker

    try:
        check_broker(options)
    except BrokerUnavailable as error:
        _log.warning("broker_not_there_yet", error=error)


def _drop(gauges: dict[str, float]) -> None: ...
