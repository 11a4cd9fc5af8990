"""A document as the bytes of its protobuf or JSON, page images among them."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import msgspec

from docfleet.documentai_format import page_json, to_json, to_proto
from docfleet.documentai_server.jobs import Form
from docfleet.domain.document import Document

_DIGITS = 7
"""Decimals of coordinates and confidences in JSON: what a 32-bit float between 0 and 1 holds."""


class PageImage(msgspec.Struct, frozen=True):
    """The picture of a page that goes with it."""

    content: bytes
    mime_type: str
    width: int
    height: int


def encode_document(document: Document, form: Form, images: Mapping[int, PageImage]) -> bytes:
    """`document` as it is, with the pictures of its pages by position (from 0)."""
    if form == "document":
        return msgspec.msgpack.encode(document)
    return _as_proto(document, images) if form == "proto" else _as_json(document, images)


def _as_proto(document: Document, images: Mapping[int, PageImage]) -> bytes:
    message = to_proto(document)
    for position, image in images.items():
        target = message.pages[position].image
        target.content, target.mime_type = image.content, image.mime_type
        target.width, target.height = image.width, image.height
    written: bytes = message.SerializeToString()
    return written


def _as_json(document: Document, images: Mapping[int, PageImage]) -> bytes:
    rest = to_json(msgspec.structs.replace(document, pages=()), digits=_DIGITS)
    if not document.pages:
        return rest
    pages = b",".join(
        _with_image(page_json(page, 0, _DIGITS), images.get(position)) for position, page in enumerate(document.pages)
    )
    return b'{"pages":[' + pages + (b"]," if rest != b"{}" else b"]") + rest[1:]


def _with_image(page: bytes, image: PageImage | None) -> bytes:
    if image is None:
        return page
    head = (
        b'{"image":{"content":"'
        + base64.b64encode(image.content)
        + f'","mimeType":"{image.mime_type}","width":{image.width},"height":{image.height}}}'.encode()
    )
    return head + (b"," if page != b"{}" else b"") + page[1:]


def process_response(document: bytes, form: Form) -> bytes:
    """A `ProcessResponse` around the bytes of a document; nobody is asked to review it."""
    if form == "json":
        return b'{"document":' + document + b',"humanReviewStatus":{"state":"SKIPPED"}}'
    return b"\x0a" + _varint(len(document)) + document + b"\x1a\x02\x08\x01"


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
