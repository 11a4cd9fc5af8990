"""Messages over a socket: a length of eight bytes, then so many bytes."""

from __future__ import annotations

import select
import socket
import struct

_LENGTH = struct.Struct("<Q")
_MOST = 1 << 32


class Closed(Exception):
    """The other side is gone, or speaks something else."""


def send(sock: socket.socket, data: bytes) -> None:
    """Raises `Closed`."""
    try:
        sock.sendall(_LENGTH.pack(len(data)))
        sock.sendall(data)
    except OSError as error:
        raise Closed from error


def receive(sock: socket.socket) -> bytes:
    """The next message, however long it takes. Raises `Closed`."""
    (length,) = _LENGTH.unpack(_exactly(sock, _LENGTH.size))
    if length > _MOST:
        raise Closed
    return _exactly(sock, length)


def has_message(sock: socket.socket, seconds: float) -> bool:
    """Whether something came (the end of the connection, too) within so many seconds."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = bytearray(count)
    view = memoryview(data)
    at = 0
    while at < count:
        try:
            got = sock.recv_into(view[at:])
        except OSError as error:
            raise Closed from error
        if not got:
            raise Closed
        at += got
    return bytes(data)
