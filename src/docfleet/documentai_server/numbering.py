"""Project numbers: Google names operations and quota consumers by number, whatever the caller called the project."""

from __future__ import annotations

from hashlib import blake2b


def project_number(project: str) -> str:
    """Twelve digits that are always the same for a project's id; a number is its own.

    No hyphen can be in it: Google's toolbox takes no operation name that has one before the location.
    """
    if project.isascii() and project.isdigit():
        return project
    digest = blake2b(project.encode(), digest_size=8).digest()
    return str(10**11 + int.from_bytes(digest, "big") % (9 * 10**11))
