"""For all tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from docfleet.telemetry.traces import Collected
    from ledger_driver import PostgresServer

# how long one example takes says more of the machine than of the code
settings.register_profile("any_machine", deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=300)
settings.load_profile("any_machine")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # started in the background of a shell: the commands that tests interrupt would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests of this process; each takes a database of its own."""
    from ledger_driver import postgres_server  # loads the ledger, which many tests need not

    with postgres_server() as server:
        yield server


@pytest.fixture
def traced() -> Iterator[Collected]:
    """The spans that this process tells while the test runs, all of them."""
    from docfleet.telemetry.traces import Collected, start_tracing, stop_tracing  # as above

    collected = Collected()
    start_tracing(1.0, collected)
    yield collected
    stop_tracing()
