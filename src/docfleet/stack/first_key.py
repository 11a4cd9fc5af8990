"""The first key of a service that runs on this machine: made once, and left where this user's clients find it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from docfleet.client.address import ACCESS_FILE, AccessFile
from docfleet.domain.access import LOCAL_TENANT, Role
from docfleet.errors import RequestError
from docfleet.ledger.access import Access
from docfleet.runtime import write_private

KEY_NAME = "first key"


class FirstKey(msgspec.Struct, frozen=True):
    secret: str
    file: Path
    is_new: bool


def first_key(access: Access, folder: Path, url: str) -> FirstKey:
    """The key in `folder/access.json` when it still opens the service, else a new one, for an admin of `local`.

    The file is written again with the service's address; only its owner may read it.
    """
    access.ensure_tenant(LOCAL_TENANT, "This machine")
    file = folder / ACCESS_FILE
    secret = _kept(access, file)
    is_new = not secret
    if is_new:
        _, secret = access.make_key(LOCAL_TENANT, KEY_NAME, Role.ADMIN)
    write_private(file, msgspec.json.encode(AccessFile(url=url, api_key=secret)).decode() + "\n")
    return FirstKey(secret, file, is_new)


def _kept(access: Access, file: Path) -> str:
    try:
        secret = msgspec.json.decode(file.read_bytes(), type=AccessFile).api_key
    except (FileNotFoundError, msgspec.MsgspecError):
        return ""
    try:
        access.authenticate(secret)
    except RequestError:
        return ""
    return secret
