"""What Celery can do on this Redis when there is nothing to do: the yardstick beside the service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from celery import Celery

TASKS = 4000
NAME = "bench.nothing"


def _app(url: str) -> Celery:
    app = Celery("bench", broker=url)
    app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True, task_default_queue="bench")
    return app


def bare_celery_rate(url: str) -> float:
    """No-op tasks a second by two worker processes as Celery is shipped, sent beforehand."""
    import redis

    app = _app(url)
    for _ in range(TASKS):
        app.send_task(NAME)
    # a function by name: Celery makes no task of a lambda
    code = (
        "import sys; from celery import Celery; app = Celery('bench', broker=sys.argv[1]); "
        "app.conf.update(task_ignore_result=True, task_default_queue='bench')\n"
        "def nothing(): pass\n"
        f"app.task(name='{NAME}')(nothing); "
        "app.worker_main(['worker', '-c', '2', '-l', 'ERROR', '-Q', 'bench'])"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", code, url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        with redis.Redis.from_url(url) as link:
            while (left := int(link.llen("bench"))) > TASKS * 0.9:
                if worker.poll() is not None:
                    raise RuntimeError("the Celery worker did not start")
                time.sleep(0.01)
            begun, first = time.perf_counter(), left
            while (left := int(link.llen("bench"))) > TASKS * 0.1:
                time.sleep(0.01)
            return (first - left) / (time.perf_counter() - begun)
    finally:
        # with its children: it does not end by itself while tasks are left
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
