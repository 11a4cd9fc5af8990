"""The part of Cloud Storage's JSON API that Google's storage client and the toolbox use, over `Buckets`.

Point a client at it with `STORAGE_EMULATOR_HOST=http://host:port`.
"""

from __future__ import annotations

import base64
import email
import email.policy
import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC
from urllib.parse import quote

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from docfleet.documentai_server.storage import Buckets, StoredObject
from docfleet.errors import BadKey, NotStored, StoreError

LARGEST_PAGE = 1000
LARGEST_UPLOAD = 1024**3
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")

Endpoint = Callable[[Request], Awaitable[Response]]


def storage_routes(buckets: Buckets) -> list[Route]:
    """Routes for a Starlette application."""
    api = _StorageApi(buckets)
    return [
        Route("/storage/v1/b", _told(api.list_buckets), methods=["GET"]),
        Route("/storage/v1/b", _told(api.make_bucket), methods=["POST"]),
        Route("/storage/v1/b/{bucket}", _told(api.bucket), methods=["GET"]),
        Route("/storage/v1/b/{bucket}/o", _told(api.list), methods=["GET"]),
        Route("/storage/v1/b/{bucket}/o/{name:path}", _told(api.object), methods=["GET"]),
        Route("/storage/v1/b/{bucket}/o/{name:path}", _told(api.delete), methods=["DELETE"]),
        Route("/download/storage/v1/b/{bucket}/o/{name:path}", _told(api.download), methods=["GET"]),
        Route("/upload/storage/v1/b/{bucket}/o", _told(api.upload), methods=["POST"]),
        Route("/upload/storage/v1/b/{bucket}/o", _told(api.upload_part), methods=["PUT"]),
    ]


class _StorageApi:
    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self._uploads: dict[str, tuple[str, str, bytearray]] = {}

    async def list_buckets(self, request: Request) -> Response:
        names = await run_in_threadpool(self._buckets.buckets)
        return _json({"kind": "storage#buckets", "items": [_bucket_json(name) for name in names]})

    async def make_bucket(self, request: Request) -> Response:
        body = await _body(request)
        try:
            name = str(msgspec.json.decode(body, type=dict[str, object])["name"])
        except (msgspec.DecodeError, KeyError) as error:
            raise BadKey("the body has no name of a bucket") from error
        await run_in_threadpool(self._buckets.make, name)
        return _json(_bucket_json(name))

    async def bucket(self, request: Request) -> Response:
        name = request.path_params["bucket"]
        if not await run_in_threadpool(self._buckets.exists, name):
            raise NotStored("The specified bucket does not exist.")
        return _json(_bucket_json(name))

    async def list(self, request: Request) -> Response:
        query = request.query_params
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = _after(query.get("pageToken", ""))
        limit = min(_number(query.get("maxResults")) or LARGEST_PAGE, LARGEST_PAGE)
        found = await run_in_threadpool(self._buckets.list, request.path_params["bucket"], prefix)
        items: list[dict[str, object]] = []
        prefixes: list[str] = []
        last, more = "", False
        for one in found:
            head, cut, _ = one.name[len(prefix) :].partition(delimiter) if delimiter else (one.name, "", "")
            entry = prefix + head + cut if cut else one.name
            if (after and entry <= after) or (prefixes and entry == prefixes[-1]):
                continue
            if len(items) + len(prefixes) == limit:
                more = True
                break
            last = entry
            if cut:
                prefixes.append(entry)
            else:
                items.append(_object_json(one))
        answer: dict[str, object] = {"kind": "storage#objects", "items": items}
        if prefixes:
            answer["prefixes"] = prefixes
        if more:
            answer["nextPageToken"] = base64.urlsafe_b64encode(last.encode()).decode()
        return _json(answer)

    async def object(self, request: Request) -> Response:
        if request.query_params.get("alt") == "media":
            return await self.download(request)
        return _json(_object_json(await self._head(request)))

    async def _head(self, request: Request) -> StoredObject:
        found = await run_in_threadpool(self._buckets.head, request.path_params["bucket"], request.path_params["name"])
        wanted = request.query_params.get("generation", "")
        if wanted and wanted != str(found.generation):
            raise NotStored(f"there is no generation {wanted} of {found.name}")
        return found

    async def download(self, request: Request) -> Response:
        found = await self._head(request)
        start, end, status = 0, found.size, 200
        asked = _RANGE.fullmatch(request.headers.get("range", ""))
        headers = {"x-goog-generation": str(found.generation), "etag": found.etag, "accept-ranges": "bytes"}
        if asked is not None and any(asked.groups()):
            first, last = asked.groups()
            start = int(first) if first else max(0, found.size - int(last))
            end = min(found.size, int(last) + 1) if first and last else found.size
            if start >= end:
                return Response(status_code=416, headers={"content-range": f"bytes */{found.size}"})
            status = 206
            headers["content-range"] = f"bytes {start}-{end - 1}/{found.size}"
        headers["content-length"] = str(end - start)
        chunks = self._buckets.chunks(found.bucket, found.name, start, end)
        return StreamingResponse(chunks, status, headers, media_type=found.content_type)

    async def delete(self, request: Request) -> Response:
        await run_in_threadpool(self._buckets.delete, request.path_params["bucket"], request.path_params["name"])
        return Response(status_code=204)

    async def upload(self, request: Request) -> Response:
        bucket, kind = request.path_params["bucket"], request.query_params.get("uploadType", "media")
        body = await _body(request)
        if kind == "resumable":
            told = msgspec.json.decode(body, type=dict[str, object]) if body else {}
            name = request.query_params.get("name") or str(told.get("name", ""))
            upload = secrets.token_hex(16)
            self._uploads[upload] = (bucket, name, bytearray())
            where = f"{request.base_url}upload/storage/v1/b/{quote(bucket)}/o?uploadType=resumable&upload_id={upload}"
            return Response(status_code=200, headers={"location": where, "x-guploader-uploadid": upload})
        name = request.query_params.get("name", "")
        if kind == "multipart":
            told_name, body = _related(request.headers.get("content-type", ""), body)
            name = name or told_name
        return _json(_object_json(await run_in_threadpool(self._buckets.put, bucket, name, body)))

    async def upload_part(self, request: Request) -> Response:
        upload = request.query_params.get("upload_id", "")
        if upload not in self._uploads:
            raise NotStored("there is no such upload")
        bucket, name, held = self._uploads[upload]
        part = await _body(request)
        asked = re.fullmatch(r"bytes (\*|\d+-\d+)/(\*|\d+)", request.headers.get("content-range", ""))
        if len(held) + len(part) > LARGEST_UPLOAD:
            del self._uploads[upload]
            raise BadKey("the object is too large")
        held += part
        if asked is not None and (asked[2] == "*" or len(held) < int(asked[2])):
            return Response(status_code=308, headers={"range": f"bytes=0-{len(held) - 1}"} if held else {})
        del self._uploads[upload]
        return _json(_object_json(await run_in_threadpool(self._buckets.put, bucket, name, bytes(held))))


def _told(endpoint: Endpoint) -> Endpoint:
    """With Google's error bodies."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except NotStored as error:
            return _error(404, error.message, "notFound")
        except BadKey as error:
            return _error(400, error.message, "invalid")
        except StoreError as error:
            return _error(503, error.message, "backendError")

    return answer


def _error(status: int, message: str, reason: str) -> Response:
    errors = [{"message": message, "domain": "global", "reason": reason}]
    return _json({"error": {"code": status, "message": message, "errors": errors}}, status)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_UPLOAD:
            raise BadKey("the object is too large")
    return bytes(body)


def _related(content_type: str, body: bytes) -> tuple[str, bytes]:
    """Name and bytes of a multipart/related upload: metadata in JSON, then the object."""
    head = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    boundary = email.message_from_bytes(head, policy=email.policy.default).get_boundary()
    if not boundary:
        raise BadKey("the upload has no boundary")
    # by hand: the email package would change line ends of the object's bytes
    _, *parts = body.split(b"--" + boundary.encode())
    if len(parts) < 3:
        raise BadKey("the upload has not two parts")
    start = body.index(parts[1])
    end = body.rindex(b"\r\n--" + boundary.encode() + b"--")
    told = msgspec.json.decode(parts[0].partition(b"\r\n\r\n")[2].strip() or b"{}", type=dict[str, object])
    return str(told.get("name", "")), body[start:end].partition(b"\r\n\r\n")[2]


def _after(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except ValueError as error:
        raise BadKey("not a page token") from error


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else 0


def _bucket_json(name: str) -> dict[str, object]:
    return {"kind": "storage#bucket", "id": name, "name": name, "location": "US", "storageClass": "STANDARD"}


def _object_json(found: StoredObject) -> dict[str, object]:
    updated = found.updated.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "kind": "storage#object",
        "id": f"{found.bucket}/{found.name}/{found.generation}",
        "name": found.name,
        "bucket": found.bucket,
        "generation": str(found.generation),
        "metageneration": "1",
        "contentType": found.content_type,
        "size": str(found.size),
        "etag": found.etag,
        "timeCreated": updated,
        "updated": updated,
    }


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
