"""Who may call: keys from a file, sent as an API key or as a bearer token."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from docfleet.documentai_server.calls import Caller
from docfleet.documentai_server.refusals import SERVICE, Code, ErrorInfo, Refusal
from docfleet.errors import UsageError

_LEAST_LENGTH = 16


class Access:
    """Without keys everybody may call."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        """Name -> key. Raises `UsageError` for a key that could be guessed."""
        for name, key in keys.items():
            if len(key) < _LEAST_LENGTH:
                raise UsageError(f"The key {name} has less than {_LEAST_LENGTH} characters.")
        self._digests = [(name, sha256(key.encode()).digest()) for name, key in keys.items()]

    @property
    def is_open(self) -> bool:
        return not self._digests

    def check(self, caller: Caller) -> str:
        """Name of the key the caller has. Raises the service's own `Refusal`."""
        if self.is_open:
            return ""
        for secret in (caller.bearer, caller.api_key):
            if secret and (name := self._find(secret)):
                return name
        if caller.bearer:
            raise _unauthenticated(
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
                "valid authentication credential.",
                "ACCESS_TOKEN_TYPE_UNSUPPORTED",
            )
        if caller.api_key:
            info = ErrorInfo("API_KEY_INVALID", {"service": SERVICE})
            raise Refusal(Code.INVALID_ARGUMENT, "API key not valid. Please pass a valid API key.", info)
        raise _unauthenticated(
            "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or "
            "other valid authentication credential.",
            "CREDENTIALS_MISSING",
        )

    def _find(self, secret: str) -> str:
        digest = sha256(secret.encode(errors="surrogateescape")).digest()
        found = ""
        # all are compared, whichever fits: the time tells nothing
        for name, known in self._digests:
            if hmac.compare_digest(known, digest):
                found = name
        return found


def read_keys(path: Path) -> dict[str, str]:
    """Keys from a file: one a line, `name key` or the key alone; lines that begin with # are passed over.

    Raises `UsageError` when it cannot be read or holds no key.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The keys in {path} cannot be read: {error}.") from error
    keys: dict[str, str] = {}
    for line in lines:
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        if len(parts) > 2:
            raise UsageError(f"{path} has a line with more than a name and a key.")
        name = parts[0] if len(parts) == 2 else f"key-{len(keys) + 1}"
        if name in keys:
            raise UsageError(f"{path} has two keys called {name}.")
        keys[name] = parts[-1]
    if not keys:
        raise UsageError(f"{path} holds no key.")
    return keys


def _unauthenticated(message: str, reason: str) -> Refusal:
    return Refusal(Code.UNAUTHENTICATED, message, ErrorInfo(reason, {"service": SERVICE}))
