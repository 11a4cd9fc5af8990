"""Where the service is and with which key it is asked: said, from the environment, or from the file a server wrote."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from docfleet.errors import UsageError

ACCESS_FILE = "access.json"
"""Written by `docfleet serve` and `docfleet up` into their data folder, readable by their user only."""
DEFAULT_FOLDERS = ("docfleet-data", "docfleet-data/up")
"""Where `docfleet serve` and `docfleet up --keep` keep theirs, below the working directory."""


class Address(msgspec.Struct, frozen=True):
    url: str
    """Without the slash at its end: "http://127.0.0.1:8080"."""
    api_key: str
    ca_file: str = ""
    """Certificates to trust instead of the system's."""

    def __repr__(self) -> str:  # a key must not reach a log by way of a traceback
        return f"Address(url={self.url!r}, api_key='…')"


class AccessFile(msgspec.Struct, frozen=True):
    """What a server on this machine leaves for the clients of its user."""

    url: str = ""
    api_key: str = ""


def find_address(
    url: str = "", api_key: str = "", ca_file: str = "", environment: Mapping[str, str] | None = None
) -> Address:
    """First wins, for each part: the argument, `DOCFLEET_URL` / `DOCFLEET_API_KEY` / `DOCFLEET_CA_FILE`, the file a
    server wrote (`DOCFLEET_ACCESS_FILE`, else that in one of DEFAULT_FOLDERS).

    The key of such a file is only sent to the address it stands beside. Raises `UsageError` when no address, no key,
    or a malformed address is found.
    """
    said = os.environ if environment is None else environment
    # whoever copies the address of a route means the service
    url = (url or said.get("DOCFLEET_URL", "")).strip().rstrip("/").removesuffix("/v1").rstrip("/")
    api_key = (api_key or said.get("DOCFLEET_API_KEY", "")).strip()
    if not (url and api_key):
        for written in _written_by_servers(said):
            if not url:
                url = written.url.rstrip("/")
            if not api_key and url == written.url.rstrip("/"):
                api_key = written.api_key
    if not url:
        raise UsageError("The service's address is not known: give it with --to, or as DOCFLEET_URL.")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{url} is not the address of a service: write it as http://host:port or https://host.")
    if not api_key:
        raise UsageError("There is no API key: set DOCFLEET_API_KEY.")
    if not api_key.isascii() or not api_key.isprintable():
        raise UsageError("The API key holds characters that no key has; copy it again.")
    return Address(url, api_key, ca_file or said.get("DOCFLEET_CA_FILE", ""))


def _written_by_servers(said: Mapping[str, str]) -> list[AccessFile]:
    if named := said.get("DOCFLEET_ACCESS_FILE", ""):
        if (found := _read(Path(named))) is None:
            raise UsageError(f"DOCFLEET_ACCESS_FILE names {named}, which is not there.")
        return [found]
    return [found for folder in DEFAULT_FOLDERS if (found := _read(Path(folder) / ACCESS_FILE)) is not None]


def _read(path: Path) -> AccessFile | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return msgspec.json.decode(data, type=AccessFile)
    except msgspec.MsgspecError as error:
        raise UsageError(f"{path} is not a file a server wrote: {error}.") from error
