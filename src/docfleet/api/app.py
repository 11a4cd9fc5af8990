"""The API put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from docfleet import __version__
from docfleet.api import described, problems
from docfleet.api.admission import Admission
from docfleet.api.authentication import make_guard
from docfleet.api.batches import batches
from docfleet.api.costs import costs
from docfleet.api.dead_letters import dead_letters
from docfleet.api.documents import documents
from docfleet.api.events import events
from docfleet.api.fleet import fleet
from docfleet.api.fleet_demand import fleet_demand
from docfleet.api.health import health
from docfleet.api.keys import keys
from docfleet.api.limits import make_limits
from docfleet.api.measuring import InFlight, Measuring
from docfleet.api.originals import originals
from docfleet.api.overview import overview
from docfleet.api.parts import ApiParts
from docfleet.api.quotas import quotas
from docfleet.api.recognising import Recogniser
from docfleet.api.reports import reports
from docfleet.api.results import results
from docfleet.api.statistics import statistics
from docfleet.api.storing import SourceKeeper
from docfleet.api.surface import Surface
from docfleet.api.tenants import tenants
from docfleet.api.webhooks import webhooks
from docfleet.telemetry import metrics

RESOURCES = (
    documents,
    results,
    originals,
    events,
    batches,
    dead_letters,
    webhooks,
    costs,
    statistics,
    overview,
    reports,
    keys,
    tenants,
    fleet,
    fleet_demand,
    quotas,
    health,
)
_PAGE_HEADERS = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
REQUEST_THREADS = 64
"""Requests that wait for ledger or store at a time; uploads have threads of their own."""


def make_app(parts: ApiParts) -> FastAPI:
    """The API over `parts`, which it does not close. Serve it with uvicorn; it starts nothing before that."""
    options = parts.options
    limits = make_limits(options.limits_url, options.requests_per_minute, options.limits_tls)
    recogniser = Recogniser()
    in_flight = InFlight()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = REQUEST_THREADS
        app.state.upload_threads = anyio.CapacityLimiter(options.max_concurrent_uploads)
        app.state.readiness_lock = anyio.Lock()
        metrics.watch(in_flight)
        try:
            yield
        finally:
            metrics.unwatch(in_flight)
            recogniser.close()
            await limits.close()

    app = FastAPI(
        title="docfleet", version=__version__, lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    admission = Admission(
        options,
        parts.desk.open_documents,
        parts.store.free_bytes,
        known_open_documents=parts.desk.known_open_documents,
    )
    app.state.parts = parts
    app.state.admission = admission
    app.state.guard = make_guard(parts, limits)
    app.state.keeper = SourceKeeper(parts.store, parts.master_key, recogniser, options.max_file_bytes, admission.store)
    problems.install(app)
    for resource in RESOURCES:
        resource.add_to(app)
    _add_description(app)
    app.add_middleware(Measuring, in_flight=in_flight)
    app.add_middleware(Surface)
    return app


def _add_description(app: FastAPI) -> None:
    """`/openapi.json`, `/docs` and the page that problems name as their type, open to all: nothing of any tenant."""

    async def openapi(_: object) -> Response:
        return JSONResponse(described.describe(app))

    async def docs(_: object) -> Response:
        return HTMLResponse(described.page(described.describe(app)), headers=_PAGE_HEADERS)

    async def codes(_: object) -> Response:
        return HTMLResponse(described.codes_page(), headers=_PAGE_HEADERS)

    async def start(request: Request) -> Response:
        wants_page = "text/html" in request.headers.get("accept", "")
        return RedirectResponse(getattr(app.state, "start_page", "docs") if wants_page else "docs")

    app.add_route("/openapi.json", openapi, methods=["GET"], include_in_schema=False)
    app.add_route("/docs", docs, methods=["GET"], include_in_schema=False)
    app.add_route(problems.CODES_PAGE, codes, methods=["GET"], include_in_schema=False)
    app.add_route("/", start, methods=["GET"], include_in_schema=False)
