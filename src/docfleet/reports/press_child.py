"""The child that sets one report: data as JSON on its standard input, the PDF on its standard output."""

from __future__ import annotations

import sys
from datetime import datetime

from docfleet.errors import DocfleetError
from docfleet.sandbox.confine import arm_cpu_limit, confine, tie_to_parent


def main(arguments: list[str]) -> int:
    template, made, memory_bytes, seconds, parent = arguments
    tie_to_parent(int(parent))
    # loaded before anything is given up: it maps more than it uses
    from docfleet.reports.typesetting import typeset_json

    confine(int(memory_bytes))
    arm_cpu_limit(2 * float(seconds))
    try:
        pdf = typeset_json(template, sys.stdin.buffer.read().decode(), datetime.fromisoformat(made))
    except DocfleetError as error:
        print(error.message, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(pdf)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
