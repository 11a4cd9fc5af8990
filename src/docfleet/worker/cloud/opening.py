"""From settings to what a cloud worker works with. Google's package and Redis's client are loaded here alone."""

from __future__ import annotations

from typing import Any

from docfleet.engines.documentai.calling import Caller
from docfleet.engines.documentai.client import open_transport
from docfleet.engines.documentai.facts import Facts
from docfleet.engines.documentai.options import DocumentAIOptions
from docfleet.engines.documentai.prices import price_book
from docfleet.errors import EngineUnavailable
from docfleet.ledger import Ledger
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.escalating import Escalating
from docfleet.queues.options import QueueOptions, connect
from docfleet.quota.breaker import BreakerPolicy
from docfleet.quota.open import QuotaOptions, open_breakers, open_quota
from docfleet.runtime import Runtime
from docfleet.settings import Settings
from docfleet.worker.cloud.parts import CloudOptions, CloudParts


def open_parts(runtime: Runtime, ledger: Ledger, documentai: DocumentAIOptions) -> CloudParts:
    """Raises EngineUnavailable when the engine is not installed or no processor is named, UsageError."""
    settings, facts = runtime.settings, documentai.facts()
    if not documentai.of_type(documentai.processor_type):
        raise EngineUnavailable(f"[documentai] names no processor of type {documentai.processor_type}.")
    return CloudParts(
        options=CloudOptions.of(settings.cascade, documentai, facts),
        documentai=documentai,
        ledger=ledger,
        escalating=Escalating(ledger),
        # at the prices in force, overrides among them
        budgets=Budgets(ledger, price_book(facts)),
        store=runtime.store,
        master_key=runtime.master_key,
        caller=open_caller(settings, documentai, facts),
    )


def open_caller(settings: Settings, documentai: DocumentAIOptions, facts: Facts) -> Caller:
    """Its quota and breakers are shared with every other process, where there is a Redis."""
    metering, client = settings.quota, _redis(settings)
    use = QuotaOptions(
        metering.sharers, metering.burst_seconds, metering.headroom, metering.urgent_share, metering.place_seconds
    )
    policy = BreakerPolicy(slow_seconds=metering.breaker_slow_seconds, open_seconds=metering.breaker_open_seconds)
    quota, breakers = open_quota(facts.quota_limits, client, use), open_breakers(client, policy)
    return Caller(documentai, facts, open_transport(documentai, facts), quota, breakers)


def _redis(settings: Settings) -> Any | None:
    url = settings.quota.redis_url or settings.service.broker_url
    if not url:
        return None
    service = settings.service
    ca_file = str(service.broker_ca_file) if service.broker_ca_file else None
    return connect(QueueOptions(broker_url=url, sentinel_master=service.sentinel_master, ca_file=ca_file))
