"""The web console."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from docfleet.settings.section import Section


class ConsoleSettings(Section):
    """The web console, at `/console` of the API or as a process of its own (`docfleet console`)."""

    enabled: bool = Field(True, description="The API serves the console as well, where its packages are installed.")
    host: str = Field("127.0.0.1", description="Address `docfleet console` listens on.")
    port: int = Field(8090, ge=0, le=65535, description="Port it listens on; 0: any free one.")
    tls_cert_file: Path | None = Field(
        None, description="Certificate chain (PEM); with it `docfleet console` speaks HTTPS only."
    )
    tls_key_file: Path | None = Field(None, description="Private key of the certificate (PEM).")
    api_url: str = Field("", description="Address of the API `docfleet console` speaks to.")
    api_ca_file: Path | None = Field(None, description="Certificates to trust there instead of the system's (PEM).")
    public_url: str = Field("", description="Address browsers know the console by, where a proxy changes it.")
    session_key: str = Field(
        "",
        description="Key that seals the cookies of `docfleet console`, as `docfleet master-key new` prints one; the "
        "same for all its processes. Empty: a new one at each start. The API uses the master key.",
    )
    session_key_file: Path | None = Field(None, description="File with that key.")
    session_hours: float = Field(12.0, gt=0, le=24 * 31, description="Whoever signed in is signed out after this.")
    refresh_seconds: float = Field(3.0, ge=0.5, le=3600, description="How often a page looks while somebody sees it.")
    max_pages: int = Field(500, gt=0, description="Pages one process keeps open at a time.")
