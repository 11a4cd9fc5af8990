"""What Flower has to know of the queues: the broker's address, from its secret, and how docfleet names its keys."""

from __future__ import annotations

from pathlib import Path

from celery import Celery

app = Celery("docfleet", broker=Path("/run/flower/broker").read_text(encoding="utf-8").strip())
app.conf.broker_transport_options = {"global_keyprefix": "docfleet:", "socket_timeout": 5.0}
app.conf.task_ignore_result = True
