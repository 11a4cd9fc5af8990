"""Style sheets and scripts of the console, by an address that changes with what is in them."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FAVICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' "
    "rx='7' fill='%230f766e'/%3E%3Cpath d='M9 9h9a7 7 0 0 1 0 14H9z M13 13v6h5a3 3 0 0 0 0-6z' fill='white' "
    "fill-rule='evenodd'/%3E%3C/svg%3E"
)


@cache
def read(name: str) -> bytes:
    """A file of the folder `static`. Raises FileNotFoundError."""
    if "/" in name or name.startswith(".") or not name.endswith(tuple(_KINDS)):
        raise FileNotFoundError(name)
    return files("docfleet.console").joinpath("static", name).read_bytes()


@cache
def _digest(name: str) -> str:
    return hashlib.sha256(read(name)).hexdigest()[:12]


def address(base: str, name: str) -> str:
    """Where the browser finds a file, by the path of the console."""
    return f"{base}/assets/{_digest(name)}/{name}"


async def serve(request: Request) -> Response:
    """Of whatever version: a page of before an upgrade gets what there is now, but does not keep it."""
    name = request.path_params["name"]
    try:
        content = read(name)
    except (FileNotFoundError, IsADirectoryError):
        return PlainTextResponse("There is no such file.", 404)
    kept = "public, max-age=31536000, immutable" if request.path_params["digest"] == _digest(name) else "no-store"
    kind = _KINDS["." + name.rpartition(".")[2]]
    return Response(content, media_type=f"{kind}; charset=utf-8", headers={"cache-control": kept})
