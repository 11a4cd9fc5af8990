"""The style sheet of the pages about documents."""

from __future__ import annotations

from nicegui import ui

from docfleet.console import assets
from docfleet.console.session import Session


def use_style(session: Session) -> None:
    """In the head of the page that is being made."""
    ui.add_head_html(f'<link rel="stylesheet" href="{assets.address(session.base, "documents.css")}">')
