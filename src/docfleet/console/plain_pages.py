"""Pages for when there is no page: refused, too many, the service is away."""

from __future__ import annotations

import html

from nicegui import ui
from starlette.responses import HTMLResponse

from docfleet.console import assets
from docfleet.console.parts import empty_state
from docfleet.console.problems import ApiProblem

_AGAIN_SECONDS = 5


def refused(base: str, title: str, role: str) -> HTMLResponse:
    """For who is signed in but may not see a page."""
    said = f"A key of the role {role} may not see this page. Sign in with another key, or ask an admin for one."
    return _page(base, title, said, 403)


def missing(base: str) -> HTMLResponse:
    return _page(base, "No such page", "There is no page at this address.", 404)


def too_many(base: str) -> HTMLResponse:
    said = "Too many pages of the console are open. Close some of them; this one opens by itself then."
    return _page(base, "Too many pages", said, 503, again=True)


def away(base: str, problem: ApiProblem) -> HTMLResponse:
    return _page(base, problem.title, problem.said, problem.status or 503, again=True)


def problem_in_page(problem: ApiProblem) -> None:
    """In place of what a page would have shown."""
    empty_state(problem.title, problem.said, symbol="error_outline")


def defect_in_page() -> None:
    with empty_state(
        "Something went wrong in the console", "It was logged. The service itself goes on.", symbol="error_outline"
    ):
        ui.button("Reload", on_click=ui.navigate.reload).props("flat")


def _page(base: str, title: str, said: str, status: int, *, again: bool = False) -> HTMLResponse:
    refresh = f'<meta http-equiv="refresh" content="{_AGAIN_SECONDS}">' if again else ""
    response = HTMLResponse(
        f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">{refresh}
<title>{html.escape(title)} · docfleet</title>
<script src="{assets.address(base, "theme.js")}"></script>
<link rel="icon" href="{assets.FAVICON}"><link rel="stylesheet" href="{assets.address(base, "house.css")}">
</head>
<body class="sign-in">
<main>
<h1><span class="mark" aria-hidden="true"></span>{html.escape(title)}</h1>
<p role="alert">{html.escape(said)}</p>
<form method="post" action="{html.escape(base)}/sign-out">
<p><a href="{html.escape(base)}/">To the overview</a></p>
<button class="quiet" type="submit">Sign in with another key</button>
</form>
</main>
</body>
</html>
""",
        status,
    )
    response.headers["cache-control"] = "no-store"
    return response
