"""The Python SDK: a typed, synchronous client of the REST API.

from docfleet.client import Client
client = Client()
print(client.submit("invoice.pdf").wait().text())
"""

from __future__ import annotations

from docfleet.client.batch import Batch
from docfleet.client.client import Client, Submitted
from docfleet.client.document import Document
from docfleet.client.problems import retry_after_of
from docfleet.client.reports import Report
from docfleet.client.signatures import verify_webhook
from docfleet.client.values import (
    BatchFacts,
    Budget,
    Compared,
    Costs,
    DeadLetter,
    DeadLetterGroup,
    Delivery,
    DocumentFacts,
    Event,
    Identity,
    PageStatus,
    ResultFile,
    TenantCost,
    Webhook,
    WholeCost,
)

__all__ = [
    "Batch",
    "BatchFacts",
    "Budget",
    "Client",
    "Compared",
    "Costs",
    "DeadLetter",
    "DeadLetterGroup",
    "Delivery",
    "Document",
    "DocumentFacts",
    "Event",
    "Identity",
    "PageStatus",
    "Report",
    "ResultFile",
    "Submitted",
    "TenantCost",
    "Webhook",
    "WholeCost",
    "retry_after_of",
    "verify_webhook",
]
