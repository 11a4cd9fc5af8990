"""A hint is, in every part that anything reads, the message that Celery itself would have sent."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import redis

from docfleet.queues.app import WORK_SLICE, make_app
from docfleet.queues.hints import Hints
from docfleet.queues.options import KEY_PREFIX, QueueOptions
from docfleet.stack.servers import start_redis


def shape(message: dict[str, Any]) -> dict[str, Any]:
    """The message with its body in the clear, without what differs from one message to the next."""
    headers, properties = dict(message["headers"]), dict(message["properties"])
    assert headers["id"] == headers["root_id"] == properties["correlation_id"]
    assert len({headers.pop("id"), properties.pop("delivery_tag")}) == 2
    for unread in ("root_id", "origin"):
        headers.pop(unread)
    for unread in ("correlation_id", "reply_to"):
        properties.pop(unread)
    body = json.loads(base64.b64decode(message["body"]))
    return {**message, "body": body, "headers": headers, "properties": properties}


def test_a_hint_is_what_celery_would_have_sent(tmp_path: Path) -> None:
    with start_redis(tmp_path) as server:
        options = QueueOptions(broker_url=server.url)
        app, hints = make_app(options), Hints(options)
        plain = redis.Redis.from_url(server.url)
        try:
            app.send_task(WORK_SLICE, args=[7], queue="pdf.high", retry=False, ignore_result=True)
            hints.publish_all("pdf", [("high", 7), ("high", 8)])
            theirs, ours, second = (
                shape(json.loads(text)) for text in reversed(plain.lrange(f"{KEY_PREFIX}pdf.high", 0, -1))
            )
        finally:
            plain.close()
            hints.close()
            app.close()
    assert ours == theirs
    assert second["body"][0] == [8]
