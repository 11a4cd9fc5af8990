"""Calls to a cloud engine under quota: docfleet, a naive client and the proof of concept against the emulator.

    python -m bench.cloud                       all of it: some 50 minutes
    python -m bench.cloud --only load --minutes 3

`load`: 12 requests a minute in each of three locations (a second's burst), imageless mode, answers after 2 s + 0.8 s a
page, documents of one to three pages without end; half-way one location goes. The first tenth is not counted.
`scaling`: no quota, 4.36 s a call, 1, 10 and 50 slots, and the proof of concept beside them.

docfleet's side is `run` of `bench.cloud_docfleet`; where that is missing, only the others are measured.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import itertools
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from bench.cloud_emulator import LOCATIONS, Emulator, Paper, Supply, Tally, emulator

REQUESTS_PER_MINUTE = 12
PAGES_PER_REQUEST = 30
CALL_SECONDS = 4.36
CALLS_PER_DOCUMENT = 5
"""Of the proof of concept: 3600 s / (5 * 4.36 s) is the 165 documents an hour it was measured at. Its threads did not
help it: they waited for one another, which is played by a lock."""
USD_PER_PAGE = 0.0015
NAIVE_THREADS = 12

Side = Callable[[Emulator, Supply, int, float, Callable[[], None]], Tally]
"""(emulator, documents, slots, seconds, begin) -> what became of them. Calls `begin` when it is ready, and is measured
from then on; returns when the time is over."""


def load_plan(minutes: float, gone: str = "") -> str:
    """TOML. `gone`: the location that goes half-way."""
    outage = f'[[outages]]\nlocation = "{gone}"\nfrom_seconds = {minutes * 30.0}\n' if gone else ""
    return f"""
        seed = 4
        [[quotas]]
        requests_per_minute = {REQUESTS_PER_MINUTE}
        burst_seconds = 1
        [[latencies]]
        fixed_seconds = 2.0
        page_seconds = 0.8
        {outage}
    """


STEADY_PLAN = f"[[latencies]]\nfixed_seconds = {CALL_SECONDS}\n"


def naive(served: Emulator, supply: Supply, slots: int, seconds: float, begin: Callable[[], None]) -> Tally:
    """Threads, one document a request, locations in turn, the library's own retries."""
    begin()
    tally, turn = Tally(), itertools.count()

    def work(client: Any, until: float) -> None:
        while time.monotonic() < until:
            paper = supply.next()
            location = paper.locations[next(turn) % len(paper.locations)]
            try:
                client.process_document(request=_request(served, paper, location))
                tally.add(paper, location)
            except Exception as error:
                if time.monotonic() < until:
                    tally.lose(paper, error)

    _in_threads(served, work, slots, seconds)
    return tally


def proof_of_concept(served: Emulator, supply: Supply, slots: int, seconds: float, begin: Callable[[], None]) -> Tally:
    """What there was: a pool of threads that in effect read one document at a time, call after call."""
    begin()
    tally, one_at_a_time = Tally(), threading.Lock()

    def work(client: Any, until: float) -> None:
        while time.monotonic() < until:
            paper = supply.next()
            with one_at_a_time:
                for _ in range(CALLS_PER_DOCUMENT):
                    try:
                        client.process_document(request=_request(served, paper, LOCATIONS[0]), retry=None)
                    except Exception as error:
                        if time.monotonic() < until:
                            tally.lose(paper, error)
                        return
            tally.add(paper, LOCATIONS[0])

    _in_threads(served, work, slots, seconds)
    return tally


def _in_threads(served: Emulator, work: Callable[[Any, float], None], slots: int, seconds: float) -> None:
    """Nobody is waited for at the end: the library's retries sleep for up to 90 s, and fail on the closed channel."""
    import grpc
    from google.cloud import documentai

    transport = documentai.DocumentProcessorServiceClient.get_transport_class("grpc")
    with grpc.insecure_channel(served.grpc, options=[("grpc.max_receive_message_length", -1)]) as channel:
        client = documentai.DocumentProcessorServiceClient(transport=transport(channel=channel))
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=work, args=(client, until), daemon=True) for _ in range(slots)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))


def _request(served: Emulator, paper: Paper, location: str) -> Any:
    from google.cloud import documentai

    raw = documentai.RawDocument(content=paper.content, mime_type="application/pdf")
    return documentai.ProcessRequest(name=served.processor(location), raw_document=raw, imageless_mode=True)


def load(served: Emulator, side: Side, slots: int, minutes: float, gone: str = "") -> dict[str, Any]:
    """Figures of one client under quota; with `gone`, those of the second half too."""
    plan = load_plan(minutes, gone)
    tally = side(served, Supply(confined=0.1), slots, minutes * 60.0, lambda: served.play(plan))
    counts = served.counts()
    begin, half, end = minutes * 6.0, minutes * 30.0, minutes * 60.0
    figures = _figures(tally, counts, begin, half if gone else end, len(LOCATIONS))
    if gone:
        # thirty seconds are allowed to find the way around
        figures["after_outage"] = _rates(tally, min(half + 30.0, end), end, len(LOCATIONS) - 1)
    return figures


def _figures(tally: Tally, counts: dict[str, Any], begin: float, end: float, locations: int) -> dict[str, Any]:
    total = counts["total"]
    pages = sum(one.paper.pages for one in tally.done)
    answered = max(total["answered"], 1)
    return {
        **_rates(tally, begin, end, locations),
        "documents": len(tally.done),
        "given_up": len(tally.failed),
        "wrong_location": sum(one.location not in one.paper.locations for one in tally.done),
        "requests": total["asked"],
        "answered_429": total["refused"].get("quota", 0),
        "share_429": round(total["refused"].get("quota", 0) / max(total["asked"], 1), 4),
        "documents_per_request": round(len(tally.done) / answered, 2),
        "usd": round(total["pages"] * USD_PER_PAGE, 2),
        "usd_per_1000_pages": round(1000 * total["pages"] * USD_PER_PAGE / max(pages, 1), 3),
    }


def _rates(tally: Tally, begin: float, end: float, locations: int) -> dict[str, float]:
    minutes = max((end - begin) / 60.0, 1e-9)
    done = tally.between(begin, end)
    pages = sum(one.paper.pages for one in done) / minutes
    return {
        "documents_per_minute": round(len(done) / minutes, 1),
        "pages_per_minute": round(pages, 1),
        "share_of_ceiling": round(pages / (REQUESTS_PER_MINUTE * PAGES_PER_REQUEST * locations), 3),
    }


def scaling(served: Emulator, side: Side, slots: int, seconds: float) -> dict[str, Any]:
    """Documents an hour without quota, the first call's time left out."""
    tally = side(served, Supply(most_pages=1), slots, seconds, lambda: served.play(STEADY_PLAN))
    done = tally.between(CALL_SECONDS, seconds)
    span = max(seconds - CALL_SECONDS, 1e-9)
    return {
        "slots": slots,
        "documents_per_hour": round(len(done) * 3600.0 / span, 1),
        "calls_under_way": served.counts()["total"]["most_under_way"],
        "given_up": len(tally.failed),
    }


def docfleet_side() -> Side | None:
    """docfleet's own client, where it is there."""
    if importlib.util.find_spec("bench.cloud_docfleet") is None:
        return None
    run: Side = importlib.import_module("bench.cloud_docfleet").run
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description="Calls to a cloud engine under quota, against the emulator.")
    parser.add_argument("--only", choices=("load", "naive", "poc", "scaling"), help="one part")
    parser.add_argument("--minutes", type=float, default=10.0, help="of docfleet's load; the naive client has half")
    parser.add_argument("--scaling-seconds", type=float, default=240.0)
    options = parser.parse_args()
    wanted = {options.only} if options.only else {"load", "naive", "poc", "scaling"}
    own = docfleet_side()
    if own is None:
        print("bench.cloud_docfleet is missing: docfleet itself is not measured", file=sys.stderr)
    found: dict[str, Any] = {}
    with emulator() as served:
        # a reader starts and Google's package is loaded: seconds that are nobody's
        naive(served, Supply(), 1, 10.0, lambda: None)
        if "naive" in wanted:
            found["naive"] = load(served, naive, NAIVE_THREADS, options.minutes / 2.0)
        if "load" in wanted and own is not None:
            found["docfleet"] = load(served, own, 50, options.minutes, gone=LOCATIONS[-1])
        if "poc" in wanted:
            found["proof_of_concept"] = scaling(served, proof_of_concept, NAIVE_THREADS, options.scaling_seconds)
        if "scaling" in wanted and own is not None:
            found["scaling"] = [scaling(served, own, slots, options.scaling_seconds) for slots in (1, 10, 50)]
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
