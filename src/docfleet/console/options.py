"""What the console is given, by whoever starts it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from docfleet.store.keys import MasterKey


def is_installed() -> bool:
    """Whether the packages of the console are here."""
    try:
        return importlib.util.find_spec("nicegui") is not None
    except ModuleNotFoundError:
        return False


@dataclass(frozen=True)
class ConsoleOptions:
    """How the console behaves. Times in the unit of their name."""

    sealing: MasterKey
    """Seals the cookie of a session. The same for all processes behind one address, or each signs in for itself."""
    api_url: str = ""
    """The API it speaks to; empty: the application it is mounted on, in this process."""
    ca_file: str = ""
    """Certificates to trust there instead of the system's."""
    public_url: str = ""
    """Address the browser knows it by, where a proxy changes it."""
    session_hours: float = 12.0
    max_pages: int = 500
    """Pages this process keeps open at a time, of all who are signed in."""
    max_pages_of_key: int = 60
    sign_ins_per_minute: int = 20
    """Refused sign-ins of one address."""
    refresh_seconds: float = 3.0
    """How often a live page looks, while it is shown."""
