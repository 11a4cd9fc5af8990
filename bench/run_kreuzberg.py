"""Runs kreuzberg over a folder, in kreuzberg's own environment: the text of every file.

    python run_kreuzberg.py JOBS.json OUT

JOBS.json: {"workers": 2, "files": [{"path": ...}, ...]}. OUT/texts.json is {file name: {"text": ..., "error": ...}}.

Its own batch call (parallel inside, in Rust) with Tesseract, as many threads as cores, its caches off; the rest as it
comes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from kreuzberg import (  # type: ignore[import-not-found,unused-ignore]
    ConcurrencyConfig,
    ExtractionConfig,
    OcrConfig,
    batch_extract_files_sync,
)


def main(jobs: Path, out: Path) -> None:
    os.environ["OMP_THREAD_LIMIT"] = "1"
    told = json.loads(jobs.read_text(encoding="utf-8"))
    out.mkdir(parents=True)
    paths = [file["path"] for file in told["files"]]
    config = ExtractionConfig(
        use_cache=False,
        ocr=OcrConfig(backend="tesseract", language="eng"),
        max_concurrent_extractions=told["workers"],
        concurrency=ConcurrencyConfig(max_threads=told["workers"]),
    )
    started = time.perf_counter()
    results = batch_extract_files_sync(paths, config=config)
    texts = {}
    for path, result in zip(paths, results, strict=True):
        error = (result.metadata or {}).get("error") or ""
        texts[Path(path).name] = {"text": "" if error else result.content, "error": str(error)}
    (out / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    print(f"{len(texts)} files in {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
