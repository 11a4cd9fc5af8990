"""On a laptop there is no broker: the half second that Celery and Redis' client take to load is not paid."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import json, sys
import docfleet.stack.housekeeping, docfleet.worker.service
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_a_worker_and_a_dispatcher_without_a_broker_load_nothing_of_it() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    loaded = set(json.loads(ran.stdout))
    assert "docfleet" in loaded
    assert not {"celery", "kombu", "redis"} & loaded
