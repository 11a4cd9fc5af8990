"""CPU time of turning a digital page's characters into words and into a laid-out page.

    python -m bench.layout_speed [PDF ...]      default: a few contracts and reports of the corpora, first pages

Process time, best of five rounds (other processes on the machine only ever add to it); milliseconds a page.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from docfleet.engines.local import text_layer
from docfleet.engines.local.layout import lay_out
from docfleet.sandbox import PageBundle, Sandbox

CORPORA = Path(__file__).resolve().parents[2] / "shared" / "corpora"
PAGES = 4
ROUNDS = 5


def best_ms(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best * 1e3


def main() -> None:
    paths = [Path(name) for name in sys.argv[1:]]
    paths = paths or [
        *sorted((CORPORA / "contracts").glob("*.pdf"))[:4],
        *sorted((CORPORA / "tables").glob("*.pdf"))[3:6],
    ]
    characters, total = 0, 0.0
    print("characters  words  words() ms  lay_out() ms  page")
    for path in paths:
        with Sandbox() as sandbox:
            opened = sandbox.open(path, "application/pdf")
            bundles = list(sandbox.pages(range(1, min(PAGES, opened.pages) + 1)))
        for bundle in bundles:
            if not isinstance(bundle, PageBundle) or bundle.text is None:
                continue
            facts, layer = bundle.facts, bundle.text
            page = text_layer.words(facts, layer)
            first = best_ms(lambda facts=facts, layer=layer: text_layer.words(facts, layer))  # type: ignore[misc]
            second = best_ms(lambda page=page: lay_out(page, 1))  # type: ignore[misc]
            characters, total = characters + len(layer.codes), total + first + second
            print(
                f"{len(layer.codes):10} {len(page.words):6} {first:11.2f} {second:13.2f}  {path.stem} {bundle.number}"
            )
    print(f"{total * 1e3 / max(characters, 1):.2f} microseconds a character")


if __name__ == "__main__":
    main()
