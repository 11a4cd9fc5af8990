"""Hints in Redis: put there by the dispatcher, counted, and told apart from those of a Redis that was wiped."""

from __future__ import annotations

from functools import cached_property

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from docfleet.domain.urgency import Urgency, queue_name
from docfleet.errors import BrokerUnavailable
from docfleet.queues.app import WORK_SLICE, make_app
from docfleet.queues.options import KEY_PREFIX, QueueOptions, connect, queues_of

EPOCH_KEY = f"{KEY_PREFIX}epoch"
PROBE_KEY = f"{KEY_PREFIX}probe"


class Hints:
    """The queues as the dispatcher and the watchdogs see them. Threads may share one; make it after any fork.

    Methods raise BrokerUnavailable within seconds when Redis cannot be reached or takes no more; nothing is tried again
    here, since the dispatcher looks again by itself.
    """

    def __init__(self, options: QueueOptions) -> None:
        self._options = options

    @cached_property
    def _app(self) -> Celery:
        return make_app(self._options)

    @cached_property
    def _client(self) -> redis.Redis:
        return connect(self._options)

    def publish(self, pool: str, urgency: str, slice_id: int) -> None:
        """Wakes a worker of the pool for this slice. Sent twice does no harm: the second finds nothing to claim."""
        try:
            self._app.send_task(
                WORK_SLICE, args=[slice_id], queue=queue_name(pool, Urgency(urgency)), retry=False, ignore_result=True
            )
        except (redis.RedisError, OperationalError, OSError) as error:
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
        if "_app" in self.__dict__:
            self._app.close()
