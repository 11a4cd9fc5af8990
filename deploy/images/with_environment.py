"""Runs a command with the variables of a file added: `with_environment.py FILE COMMAND …`, lines of NAME=value.

For secrets that a program takes from its environment only (the keys of an object store, addresses with passwords)
while they are kept in files. The command takes the place of this process, so that signals reach it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def read_variables(text: str) -> dict[str, str]:
    """NAME=value, one a line, taken as it stands; blank lines and those that begin with # count for nothing.

    Raises ValueError with the number of a line that is neither, and never with what it holds.
    """
    variables: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, sign, value = line.partition("=")
        if not sign or not name.isidentifier():
            raise ValueError(f"line {number} is no NAME=value")
        variables[name] = value
    return variables


def main(arguments: list[str]) -> int:
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    file, *command = arguments
    try:
        variables = read_variables(Path(file).read_text(encoding="utf-8"))
        os.execvpe(command[0], command, {**os.environ, **variables})
    except ValueError as error:
        print(f"{file}: {error}", file=sys.stderr)
    except OSError as error:
        print(f"{error.filename or command[0]}: {error.strerror}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
