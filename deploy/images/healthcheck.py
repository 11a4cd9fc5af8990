"""Says by its exit code whether the piece in this container is well. Standard library only, so that it is cheap.

healthcheck.py api                  asks /healthz of the API
healthcheck.py console              asks /healthz of the console
healthcheck.py documentai-server    asks /healthz of its REST port
healthcheck.py file PATH            looks at the age of the file that `--liveness` touches every 5 s
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
import time
import urllib.request

STALE_SECONDS = 60.0
"""Longer than any pause a process that is well makes; the ledger takes its work back after 15 s of silence anyway."""
ANSWER_SECONDS = 4.0
SERVERS = {
    "api": ("DOCFLEET_API__", "PORT", 8080),
    "console": ("DOCFLEET_CONSOLE__", "PORT", 8090),
    "documentai-server": ("DOCFLEET_DOCUMENTAI_SERVER__", "REST_PORT", 8082),
}
"""Role -> how its variables begin, the one of its port, and the port when that is not set."""


def fault_of_file(path: str, now: float) -> str:
    """What is wrong with the liveness file at Unix time `now`; empty: nothing."""
    try:
        age = now - os.stat(path).st_mtime
    except OSError as error:
        return f"{path}: {error.strerror}"
    return f"{path} was touched {age:.0f} s ago" if age > STALE_SECONDS else ""


def fault_of_server(role: str, environment: dict[str, str]) -> str:
    """What is wrong with the server of this role on this machine; empty: nothing."""
    prefix, name, default = SERVERS[role]
    port = int(environment.get(prefix + name) or default)
    secure = bool(environment.get(f"{prefix}TLS_CERT_FILE"))
    url = f"{'https' if secure else 'http'}://127.0.0.1:{port}/healthz"
    # it asks itself, on this machine, whether it answers; who it is matters to others
    context = ssl._create_unverified_context() if secure else None
    try:
        if context and environment.get(f"{prefix}CLIENT_CA_FILE"):
            # it would ask for a certificate, and there is none here to show: that it gets so far is all there is to see
            with socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS) as plain, context.wrap_socket(plain):
                return ""
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS, context=context) as answer:
            return "" if answer.status == 200 else f"{url} answered {answer.status}"
    except OSError as error:
        return f"{url}: {error}"


def main(arguments: list[str]) -> int:
    match arguments:
        case [("api" | "console" | "documentai-server") as role]:
            fault = fault_of_server(role, dict(os.environ))
        case ["file", path]:
            fault = fault_of_file(path, time.time())
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    if fault:
        print(fault, file=sys.stderr)
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
