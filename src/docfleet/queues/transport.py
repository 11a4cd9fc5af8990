"""Kombu's Redis transports with one difference: an acknowledgement that fails is a lost connection.

Kombu logs it and goes on. While every slot is busy Celery asks for nothing, so nothing else notices that Redis has
gone; the hint then counts as under way for ever, and once that holds for every slot the worker takes none again,
however well Redis is. Measured with a master under Sentinel killed while all slots were busy: no hint for 30 s, until
the watchdog restarted the worker; with this, the first one 1 s after the promotion.
"""

from __future__ import annotations

from typing import Any

import redis
from kombu import Connection
from kombu.transport import redis as kombu_redis


class _Strict:
    """Of the exceptions of a lost connection, kombu lets only this one through."""

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        try:
            super().basic_ack(delivery_tag, multiple)  # type: ignore[misc]
        except (redis.RedisError, OSError) as error:
            raise BrokenPipeError(f"a hint could not be acknowledged: {error}") from error


class _Channel(_Strict, kombu_redis.Channel):  # type: ignore[misc]
    pass


class _SentinelChannel(_Strict, kombu_redis.SentinelChannel):  # type: ignore[misc]
    pass


class _RedisTransport(kombu_redis.Transport):  # type: ignore[misc]
    Channel = _Channel


class _SentinelTransport(kombu_redis.SentinelTransport):  # type: ignore[misc]
    Channel = _SentinelChannel


_OURS = {kombu_redis.Transport: _RedisTransport, kombu_redis.SentinelTransport: _SentinelTransport}


class BrokerConnection(Connection):  # type: ignore[misc]
    """Looks for its broker every second or two, where Celery's own waits up to half a minute."""

    def get_transport_cls(self) -> Any:
        found = super().get_transport_cls()
        return _OURS.get(found, found)

    def ensure_connection(
        self,
        errback: Any = None,
        max_retries: int | None = None,
        interval_start: float = 0.5,
        interval_step: float = 0.5,
        interval_max: float = 2.0,
        **rest: Any,
    ) -> Any:
        return super().ensure_connection(errback, max_retries, interval_start, interval_step, interval_max, **rest)
