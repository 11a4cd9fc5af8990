"""The words and details of the refusals an emulation plays, as Document AI's clients have seen them."""

from __future__ import annotations

from math import ceil

from docfleet.documentai_server.numbering import project_number
from docfleet.documentai_server.refusals import SERVICE, Code, Detail, ErrorInfo, RetryInfo

_ONLINE = "Number of online process document requests using document processor"
_BATCH = "Number of concurrent batch process document requests using document processor"
_PAGES = "Number of online process document pages using document processor"
_OTHER = "Requests"

METRICS = {
    "requests": (_ONLINE, "online_process_document_requests", "ProcessorOnlineRequestsPerMinutePerProject", "minute"),
    "pages": (_PAGES, "online_process_document_pages", "OnlineProcessDocumentPagesPerMinutePerProject", "minute"),
    "batch": (_BATCH, "concurrent_batch_requests", "ConcurrentBatchProcessRequestsPerProject", ""),
    "polls": (_OTHER, "default_requests", "DefaultRequestsPerMinutePerProject", "minute"),
}
"""By what was counted: name of the metric, its id, the limit's id, per what."""

MESSAGES = {
    Code.UNAVAILABLE: "The service is currently unavailable.",
    Code.INTERNAL: "Internal error encountered.",
    Code.DEADLINE_EXCEEDED: "Deadline expired before operation could complete.",
    Code.UNKNOWN: "Unknown error.",
}


def quota_message(counted: str, project: str, location: str) -> str:
    metric, _, limit, per = METRICS[counted]
    where = f"{limit}{_place(location)}" + (f" per {per}" if per else "")
    return (
        f"Quota exceeded for quota metric '{metric}' and limit '{where}' of service '{SERVICE}' "
        f"for consumer 'project_number:{project_number(project)}'."
    )


def quota_details(
    counted: str, project: str, location: str, limit_value: float, retry_after: float | None
) -> tuple[Detail, ...]:
    """ErrorInfo, and RetryInfo where seconds are given."""
    _, metric, limit, _ = METRICS[counted]
    info = ErrorInfo(
        "RATE_LIMIT_EXCEEDED",
        {
            "service": SERVICE,
            "consumer": f"projects/{project_number(project)}",
            "quota_metric": f"{SERVICE}/{metric}",
            "quota_limit": f"{limit}{_place(location)}",
            "quota_limit_value": f"{limit_value:g}",
            "quota_location": location,
        },
    )
    # never less than it is: whoever comes back then must not be early
    return (info,) if retry_after is None else (info, RetryInfo(ceil(retry_after * 1000) / 1000))


def error_message(code: Code, told: str) -> str:
    return told or MESSAGES.get(code, f"{code.name.replace('_', ' ').capitalize()}.")


def _place(location: str) -> str:
    return location.upper() if location in ("us", "eu") else "SingleRegion"
