"""Hints in Redis: put there by the dispatcher, counted, and told apart from those of a Redis that was wiped."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import msgspec
import redis

from docfleet.domain.urgency import Urgency, queue_name
from docfleet.errors import BrokerUnavailable
from docfleet.queues.app import WORK_SLICE
from docfleet.queues.options import KEY_PREFIX, QueueOptions, connect, queues_of

EPOCH_KEY = f"{KEY_PREFIX}epoch"
PROBE_KEY = f"{KEY_PREFIX}probe"
_BODY = b'[[%d],{},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]'


class Hints:
    """The queues as the dispatcher and the watchdogs see them. Threads may share one; make it after any fork.

    Methods raise BrokerUnavailable within seconds when Redis cannot be reached or takes no more; nothing is tried again
    here, since the dispatcher looks again by itself.
    """

    def __init__(self, options: QueueOptions) -> None:
        self._options = options

    @cached_property
    def _client(self) -> redis.Redis:
        return connect(self._options)

    def publish(self, pool: str, urgency: str, slice_id: int) -> None:
        """Wakes a worker of the pool for this slice. Sent twice does no harm: the second finds nothing to claim."""
        self.publish_all(pool, [(urgency, slice_id)])

    def publish_all(self, pool: str, hints: Sequence[tuple[str, int]]) -> None:
        """Hints of (urgency, slice), in this order. When it raises, any of them may have been sent."""
        try:
            with self._client.pipeline(transaction=False) as pipe:
                for urgency, slice_id in hints:
                    queue = queue_name(pool, Urgency(urgency))
                    pipe.lpush(KEY_PREFIX + queue, celery_message(queue, slice_id))
                pipe.execute()
        except (redis.RedisError, OSError) as error:
            raise BrokerUnavailable(f"A hint could not be published: {error}.") from error

    def length(self, pool: str) -> dict[str, int]:
        """Hints waiting in Redis, by queue of the pool; those a worker has taken are not counted."""
        names = queues_of(pool)
        try:
            with self._client.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.llen(KEY_PREFIX + name)
                return dict(zip(names, pipe.execute(), strict=True))
        except (redis.RedisError, OSError) as error:
            raise BrokerUnavailable(f"The broker cannot be reached: {error}.") from error

    def epoch(self) -> str | None:
        """The mark `set_epoch` left; None: this Redis has lost its memory, or never had one."""
        try:
            found = self._client.get(EPOCH_KEY)
        except (redis.RedisError, OSError) as error:
            raise BrokerUnavailable(f"The broker cannot be reached: {error}.") from error
        return bytes(found).decode() if found is not None else None

    def set_epoch(self, epoch: str) -> None:
        try:
            self._client.set(EPOCH_KEY, epoch)
        except (redis.RedisError, OSError) as error:
            raise BrokerUnavailable(f"The broker cannot be reached: {error}.") from error

    def is_up(self) -> bool:
        """Whether Redis answers and takes writes now (it may be full, or a replica); never raises, takes seconds."""
        try:
            return bool(self._client.set(PROBE_KEY, b"", ex=60))
        except (redis.RedisError, OSError):
            return False

    def close(self) -> None:
        if "_client" in self.__dict__:
            self._client.close()


def celery_message(queue: str, slice_id: int) -> bytes:
    """What `app.send_task(WORK_SLICE, [slice_id], queue=queue)` puts into Redis (Celery's protocol 2 in Kombu's frame).

    Made here since Celery takes a millisecond for it, a third of what the dispatcher spends on a document.
    """
    task_id = str(uuid.uuid4())
    headers: dict[str, Any] = {
        "lang": "py", "task": WORK_SLICE, "id": task_id, "root_id": task_id, "parent_id": None, "group": None,
        "group_index": None, "shadow": None, "eta": None, "expires": None, "retries": 0, "timelimit": [None, None],
        "argsrepr": f"[{slice_id}]", "kwargsrepr": "{}", "origin": "docfleet", "ignore_result": True,
        "replaced_task_nesting": 0, "stamped_headers": None, "stamps": {},
    }  # fmt: skip
    properties = {
        "correlation_id": task_id, "reply_to": "", "delivery_mode": 2, "priority": 0, "body_encoding": "base64",
        "delivery_info": {"exchange": "", "routing_key": queue}, "delivery_tag": str(uuid.uuid4()),
    }  # fmt: skip
    return msgspec.json.encode(
        {
            "body": base64.b64encode(_BODY % slice_id).decode(),
            "content-encoding": "utf-8", "content-type": "application/json", "headers": headers,
            "properties": properties,
        }
    )  # fmt: skip
