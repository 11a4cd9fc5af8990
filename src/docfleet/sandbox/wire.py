"""How the sandbox child and its parent talk: length-prefixed msgpack frames on a socket pair.

Arrays never travel inside a frame. They stand one after another in a sealed memory file whose descriptor rides along
with the frame (SCM_RIGHTS), so that nothing has a name, nothing is left behind when either side dies, and the parent
maps what the child wrote without copying it. The parent trusts nothing: it checks lengths, shapes, types and the seal
that keeps the child from shrinking the file under the mapping (which would kill the reader with SIGBUS).
"""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import struct
import tempfile
import time
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from docfleet.domain.page_facts import PageFacts
from docfleet.domain.words import Ruling
from docfleet.sandbox.types import SandboxLimits

MAX_FRAME_BYTES = 256 << 20
_HEADER = struct.Struct("<I")
_ALIGN = 64
_SHRINK_SEALED = fcntl.F_SEAL_SHRINK if hasattr(fcntl, "F_SEAL_SHRINK") else 2
_DTYPES = frozenset({"uint8", "uint32", "int16", "float32"})

AnyArray = npt.NDArray[Any]


class Closed(Exception):
    """The other side is gone."""


class Garbled(Exception):
    """The other side sent what no honest side sends."""


# --- what is asked ---------------------------------------------------------------------------------------------------


class Start(msgspec.Struct, frozen=True, tag=True):
    limits: SandboxLimits


class OpenDocument(msgspec.Struct, frozen=True, tag=True):
    path: str
    mime_type: str
    passwords: tuple[str, ...] = ()
    repair_first: bool = False
    """Set after the parser crashed on the file as it is."""


class ReadPage(msgspec.Struct, frozen=True, tag=True):
    number: int


class RenderPage(msgspec.Struct, frozen=True, tag=True):
    number: int
    dpi: float
    grey: bool = False
    region: tuple[float, float, float, float] | None = None


class RunJob(msgspec.Struct, frozen=True, tag=True):
    name: str
    seconds: float
    kwargs: msgspec.Raw


Request = Start | OpenDocument | ReadPage | RenderPage | RunJob


# --- what is answered ------------------------------------------------------------------------------------------------


class ArraySpec(msgspec.Struct, frozen=True, array_like=True):
    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int


class Answer(msgspec.Struct, frozen=True, tag=True):
    body: msgspec.Raw
    arrays: tuple[ArraySpec, ...] = ()
    resident_bytes: int = 0


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """The request failed in an orderly way."""

    code: str
    message: str
    resident_bytes: int = 0


Reply = Answer | Refusal


class TextLayerBody(msgspec.Struct, frozen=True):
    """The parts of a `TextLayer` that are no arrays."""

    font_names: list[str]
    font_weights: list[int]
    font_italics: list[bool]
    rulings: list[Ruling]


class PageBody(msgspec.Struct, frozen=True):
    """What is read on a page, without its arrays."""

    facts: PageFacts
    text: TextLayerBody | None = None


class RenderedBody(msgspec.Struct, frozen=True):
    dpi: float


class MemberBody(msgspec.Struct, frozen=True):
    """A member of an archive as the child reports it."""

    name: str
    file: str = ""
    """Name in the folder given; empty when refused."""
    size: int = 0
    code: str = ""
    message: str = ""


def encode_leaf(value: object) -> object:
    """msgspec enc_hook for what jobs are called with."""
    if isinstance(value, PurePath):
        return os.fspath(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} cannot cross into the sandbox")


encoder = msgspec.msgpack.Encoder(enc_hook=encode_leaf)
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode


# --- frames ----------------------------------------------------------------------------------------------------------


def send_frame(sock: socket.socket, frame: bytes, descriptor: int | None = None) -> None:
    """Sends one frame, with a file descriptor when given. Raises `Closed`."""
    if len(frame) > MAX_FRAME_BYTES:
        raise Garbled(f"a frame of {len(frame)} bytes")
    try:
        if descriptor is None:
            sock.sendall(_HEADER.pack(len(frame)) + frame)
        else:
            socket.send_fds(sock, [_HEADER.pack(len(frame))], [descriptor])
            sock.sendall(frame)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise Closed from error


def receive_frame(sock: socket.socket, deadline: float | None = None) -> tuple[bytes, int | None]:
    """One frame, and the descriptor that came with it (the caller closes it).

    `deadline` is on the monotonic clock. Raises `Closed`, `Garbled`, `TimeoutError`.
    """
    descriptor: int | None = None
    try:
        _arm(sock, deadline)
        head, descriptors, _flags, _address = socket.recv_fds(sock, _HEADER.size, 4)
        descriptor = _keep_first(descriptors)
        while len(head) < _HEADER.size:
            head += _receive_some(sock, _HEADER.size - len(head), deadline, first=not head)
        (length,) = _HEADER.unpack(head)
        if length > MAX_FRAME_BYTES:
            raise Garbled(f"a frame of {length} bytes")
        frame = bytearray()
        while len(frame) < length:
            frame += _receive_some(sock, min(length - len(frame), 1 << 20), deadline)
    except BaseException as error:
        if descriptor is not None:
            os.close(descriptor)
        if isinstance(error, ConnectionResetError):
            raise Closed from error
        raise
    return bytes(frame), descriptor


def _keep_first(descriptors: list[int]) -> int | None:
    for surplus in descriptors[1:]:
        os.close(surplus)
    return descriptors[0] if descriptors else None


def _arm(sock: socket.socket, deadline: float | None) -> None:
    if deadline is None:
        sock.settimeout(None)
        return
    left = deadline - time.monotonic()
    if left <= 0:
        # One look at what has already arrived: a slow parent is no slow child.
        left = 0.001
    sock.settimeout(left)


def _receive_some(sock: socket.socket, count: int, deadline: float | None, first: bool = False) -> bytes:
    if first:
        raise Closed
    _arm(sock, deadline)
    some = sock.recv(count)
    if not some:
        raise Closed
    return some


# --- arrays ----------------------------------------------------------------------------------------------------------


def create_memory_file(size: int) -> int:
    """A nameless file of `size` zero bytes that can no longer shrink; a descriptor the caller closes."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("docfleet", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, size)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        return descriptor
    descriptor, name = tempfile.mkstemp(prefix="docfleet-")
    os.unlink(name)
    os.ftruncate(descriptor, size)
    return descriptor


def lay_out(arrays: Mapping[str, AnyArray]) -> tuple[tuple[ArraySpec, ...], int]:
    """Where each array stands in the memory file, and how long that file is."""
    specs, offset = [], 0
    for name, array in arrays.items():
        specs.append(ArraySpec(name, array.dtype.name, array.shape, offset))
        offset += -(-array.nbytes // _ALIGN) * _ALIGN
    return tuple(specs), offset


def write_arrays(arrays: Mapping[str, AnyArray]) -> tuple[tuple[ArraySpec, ...], int | None]:
    """Writes `arrays` to a new memory file: their places and its descriptor (None when there is nothing to write)."""
    specs, size = lay_out(arrays)
    if size == 0:
        return specs, None
    descriptor = create_memory_file(size)
    try:
        for spec, array in zip(specs, arrays.values(), strict=True):
            view, at = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, 0
            while at < len(view):
                at += os.pwrite(descriptor, view[at:], spec.offset + at)
    except BaseException:
        os.close(descriptor)
        raise
    return specs, descriptor


def map_arrays(specs: tuple[ArraySpec, ...], descriptor: int | None) -> dict[str, AnyArray]:
    """The arrays of a reply, read-only, mapped from its memory file, which stays alive as long as they do.

    Raises `Garbled` when a place lies outside the file, a type is not one of ours or the file can still shrink.
    """
    if descriptor is None:
        if any(np.prod(spec.shape) for spec in specs):
            raise Garbled("arrays without a memory file")
        return {spec.name: np.empty(spec.shape, _dtype(spec)) for spec in specs}
    if hasattr(os, "memfd_create") and not fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SHRINK_SEALED:
        raise Garbled("a memory file without its seal")
    size = os.fstat(descriptor).st_size
    mapped = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
    found: dict[str, AnyArray] = {}
    for spec in specs:
        count, dtype = 1, _dtype(spec)
        for length in spec.shape:
            if length < 0:
                raise Garbled("a negative length")
            count *= length
        if spec.offset < 0 or spec.offset + count * dtype.itemsize > size:
            raise Garbled("an array outside its memory file")
        found[spec.name] = np.frombuffer(mapped, dtype, count, spec.offset).reshape(spec.shape)
    return found


def _dtype(spec: ArraySpec) -> np.dtype[Any]:
    if spec.dtype not in _DTYPES:
        raise Garbled(f"an array of {spec.dtype}")
    return np.dtype(spec.dtype)
