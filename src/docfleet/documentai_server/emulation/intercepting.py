"""The emulation at the door of the server: it meets every call before and after its method."""

from __future__ import annotations

import threading

from docfleet.documentai_server.calls import CallFacts, Delivery, Outcome
from docfleet.documentai_server.emulation.plan import BATCH
from docfleet.documentai_server.emulation.playing import Call, Close, Emulation, Hang, Pass, Refuse
from docfleet.documentai_server.refusals import Code, Refusal

PROCESSING = {"ProcessDocument": "", "BatchProcessDocuments": BATCH}
"""Methods whose calls have a quota of their own, and what it is called where that is not the processor's type."""

LOOK_SECONDS = 0.1
"""How often a call that hangs looks whether its caller is still there."""
LONGEST_HANG_SECONDS = 3600.0


class Refused(Refusal):
    """The connection is closed without an answer, where the transport can do that."""

    delivery = Delivery(cut_after_bytes=0)


class EmulationInterceptor:
    """An `Interceptor` that lets each call meet its fate. It waits in the thread that serves the call."""

    def __init__(self, emulation: Emulation) -> None:
        self.emulation = emulation
        self._lock = threading.Lock()
        self._passed: dict[int, Pass] = {}

    def before(self, call: CallFacts) -> None:
        kind = PROCESSING.get(call.method)
        about = Call(call.project, call.location, call.processor_type if kind == "" else kind or "")
        fate = self.emulation.poll(about) if kind is None else self.emulation.fate(about)
        if isinstance(fate, Pass):
            with self._lock:
                self._passed[id(call)] = fate
        elif isinstance(fate, Refuse):
            self.emulation.clock.sleep(fate.after_seconds)
            raise Refusal(fate.code, fate.message, *fate.details)
        elif isinstance(fate, Close):
            raise Refused(Code.UNAVAILABLE, "failed to connect to all addresses")
        elif isinstance(fate, Hang):
            self._hang(call, fate)

    def _hang(self, call: CallFacts, fate: Hang) -> None:
        clock = self.emulation.clock
        until = min(fate.until, clock.now() + LONGEST_HANG_SECONDS)
        while clock.now() < until and call.is_active():
            clock.sleep(min(LOOK_SECONDS, max(0.001, until - clock.now())))
        raise Refused(Code.UNAVAILABLE, "Connection reset by peer")

    def after(self, call: CallFacts, outcome: Outcome) -> Delivery | None:
        with self._lock:
            passed = self._passed.pop(id(call), None)
        if passed is None:
            return None
        try:
            if outcome.code != Code.OK:
                self.emulation.failed(passed)
                return None
            self.emulation.clock.sleep(self.emulation.answered(passed, outcome.pages))
        finally:
            self.emulation.ended(passed)
        if passed.drip_bytes_per_second is None and passed.cut_after_bytes is None:
            return None
        return Delivery(bytes_per_second=passed.drip_bytes_per_second, cut_after_bytes=passed.cut_after_bytes)
