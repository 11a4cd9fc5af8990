"""Runs ocrmypdf over a folder, in ocrmypdf's own environment: searchable PDFs, and the text of every page.

    python run_ocrmypdf.py JOBS.json OUT

JOBS.json: {"output_type": "pdf", "by_command": false, "workers": 2, "files": [{"path": ..., "dpi": 0}, ...]}.
OUT/texts.json is {file name: {"text": ..., "error": ...}}.

The fastest way found that keeps its results: its Python interface in as many lasting processes as there are cores, one
file each at a time. With `by_command` it is the command line, as most people run it, which imports anew for each file.
Pages with text are skipped, images are not optimised, nothing is converted to PDF/A unless told. The sidecar leaves out
skipped pages, so the text of files with such pages is read from the PDF that was written, by the reader that comes with
ocrmypdf.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import ocrmypdf  # type: ignore[import-not-found,unused-ignore]
import pypdfium2

SKIPPED = "[OCR skipped on page(s)"


def read(job: tuple[str, int, str, str, bool]) -> tuple[str, str, str]:
    """Name, text and error of one file."""
    path, dpi, out, output_type, by_command = job
    target = Path(out, f"{Path(path).name}.pdf")
    sidecar = Path(out, f"{Path(path).name}.txt")
    try:
        (_command if by_command else _call)(path, dpi, target, sidecar, output_type)
        text = sidecar.read_text(encoding="utf-8")
        return Path(path).name, whole_text(target) if SKIPPED in text else text, ""
    except Exception as error:
        return Path(path).name, "", f"{type(error).__name__}: {error}"


def _call(path: str, dpi: int, target: Path, sidecar: Path, output_type: str) -> None:
    ocrmypdf.ocr(
        path,
        target,
        language=["eng"],
        sidecar=sidecar,
        output_type=output_type,
        mode="skip",
        optimize=0,
        fast_web_view=1_000_000,
        image_dpi=dpi or None,
        jobs=1,
        use_threads=True,
        progress_bar=False,
    )


def _command(path: str, dpi: int, target: Path, sidecar: Path, output_type: str) -> None:
    options = ["--language", "eng", "--output-type", output_type, "--mode", "skip", "--optimize", "0"]
    options += ["--fast-web-view", "1000000", "--jobs", "1", "--quiet", "--sidecar", str(sidecar)]
    options += ["--image-dpi", str(dpi)] if dpi else []
    command = [sys.executable, "-m", "ocrmypdf", *options, path, str(target)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-200:])


def whole_text(pdf: Path) -> str:
    document = pypdfium2.PdfDocument(pdf)
    try:
        return "\n".join(page.get_textpage().get_text_bounded() for page in document)
    finally:
        document.close()


def main(jobs: Path, out: Path) -> None:
    os.environ["OMP_THREAD_LIMIT"] = "1"
    told = json.loads(jobs.read_text(encoding="utf-8"))
    out.mkdir(parents=True)
    started = time.perf_counter()
    how = (str(out), told["output_type"], told["by_command"])
    work = [(file["path"], file["dpi"], *how) for file in told["files"]]
    with multiprocessing.get_context("spawn").Pool(told["workers"]) as pool:
        results = list(pool.imap_unordered(read, work, chunksize=1))
    texts = {name: {"text": text, "error": error} for name, text, error in results}
    (out / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    print(f"{len(texts)} files in {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
