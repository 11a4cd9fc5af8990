"""The span of a call that was made for several documents at once."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from docfleet.telemetry import traces
from docfleet.telemetry.traces import Link, Span, Value, new_span_id


def tell_shared(
    names: tuple[str, str], started: float, ended: float, attributes: Mapping[str, Value], error: str = ""
) -> None:
    """A call that was made for where this thread is: one span, or, for several places, one with links and shares.

    `names`: of the span of the call, and of a share in it. Times are of the monotonic clock of this process.
    """
    places = traces.places()
    if not traces.is_on() or not places:
        return
    told = dict(attributes) | ({"error.type": error} if error else {})
    if len(places) == 1:
        [one] = places
        traces.tell(
            Span(names[0], one.trace_id, new_span_id(), one.span_id, one.at(started), one.at(ended), told, error=error)
        )
        return
    whole = Link(secrets.token_hex(16), new_span_id())
    shares: list[Link] = []
    for one in places:
        shares.append(Link(one.trace_id, new_span_id()))
        mine = told | {"docfleet.pages": one.pages}
        traces.tell(
            Span(
                names[1], one.trace_id, shares[-1].span_id, one.span_id, one.at(started), one.at(ended), mine,
                links=(whole,), error=error,
            )
        )  # fmt: skip
    first = places[0]
    traces.tell(
        Span(
            names[0], whole.trace_id, whole.span_id, "", first.at(started), first.at(ended), told,
            links=tuple(shares), error=error,
        )
    )  # fmt: skip
