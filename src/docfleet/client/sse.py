"""Server-sent events from the lines of a stream (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec


class ServerEvent(msgspec.Struct, frozen=True):
    id: str
    """What Last-Event-ID says to go on after this one."""
    event: str
    data: str


def parse_events(lines: Iterable[str]) -> Iterator[ServerEvent]:
    """Events of a stream of lines without their ends; comments (heartbeats) and unfinished events are left out.

    >>> list(parse_events(["id: 7", "event: page", "data: {}", "", ": beat", ""]))
    [ServerEvent(id='7', event='page', data='{}')]
    """
    last_id, event, data = "", "", list[str]()
    for line in lines:
        if not line:
            if data:
                yield ServerEvent(last_id, event or "message", "\n".join(data))
            event, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "data":
                data.append(value)
            case "event":
                event = value
            case "id" if "\0" not in value:
                last_id = value
