"""`make demo`: reads the sample documents with the command a user would type, and says where to look."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMMAND = ["docfleet", "process", "samples/", "--out", "results/"]


def main() -> int:
    print("$", " ".join(COMMAND), flush=True)
    done = subprocess.run([Path(sys.executable).parent / "docfleet", *COMMAND[1:]], cwd=ROOT, check=False)
    if done.returncode not in (0, 1):
        return done.returncode
    print(
        "\nTwo samples fail on purpose, each with its cause and what to do. The locked one opens with its password:"
        "\n  .venv/bin/docfleet process samples/password-protected.pdf --out results/ "
        "--password-file tests/samples_truth/passwords.txt"
        "\n\nLook at"
        "\n  results/report.pdf                    the report of the batch"
        "\n  results/index.csv                     every input with its outcome"
        "\n  results/receipt-photo/searchable.pdf  a photograph with selectable words"
        "\n  results/bank-statement/tables/        its table as CSV"
        "\n  .venv/bin/docfleet inspect results/half-scan   what was read, page by page, and why that way"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
