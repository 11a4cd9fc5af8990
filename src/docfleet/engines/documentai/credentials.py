"""Who calls: an API key, a service account, a workload identity, or the application default credentials.

Headers are made here and not by gRPC's own plugin, which reports a credential that cannot be refreshed as an endpoint
that is down.
"""

from __future__ import annotations

import threading
from functools import partial
from importlib import import_module
from typing import Any

from docfleet.engines.documentai.options import DocumentAIOptions

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_REFRESH_SECONDS = 10.0


class Credentials:
    """Makes the headers of calls. Threads may share one. What Google's library raises passes; see `raised`."""

    def __init__(self, options: DocumentAIOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._loaded: Any = None

    def headers(self, host: str) -> list[tuple[str, str]]:
        """Of one call to a host; refreshes a token that is about to expire, within some ten seconds."""
        credentials = self.load()
        if credentials is None:
            return []
        found: dict[str, str] = {}
        with self._lock:
            credentials.before_request(self._transport(), "POST", f"https://{host}/", found)
        # gRPC takes lower case only
        return [(key.lower(), value) for key, value in found.items() if key.lower() != "x-goog-api-client"]

    def load(self) -> Any:
        """Google's credentials object; None for anonymous calls. Raises what its library raises where there is none."""
        with self._lock:
            if self._loaded is None and not self._options.anonymous:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> Any:
        if self._options.api_key:
            return import_module("google.auth.api_key").Credentials(self._options.api_key)
        google_auth = import_module("google.auth")
        if self._options.credentials_file:
            found, _ = google_auth.load_credentials_from_file(self._options.credentials_file, scopes=[SCOPE])
        else:
            found, _ = google_auth.default(scopes=[SCOPE])
        if hasattr(found, "with_always_use_jwt_access"):
            # a service account signs for itself and needs nobody to ask for a token
            found = found.with_always_use_jwt_access(True)
        return found

    def _transport(self) -> Any:
        request = import_module("google.auth.transport.requests").Request()
        return partial(request, timeout=_REFRESH_SECONDS)
