"""Where messages may go: not into the network the service itself stands in.

A webhook's address is a stranger's wish to have the service open a connection. So the name is looked up here, every
address it has is judged, and the connection goes to an address that was judged: a name that answers differently the
second time (DNS rebinding) finds nobody asking twice.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx

from docfleet.errors import BadRequest, DocfleetError

HTTPS_PORT = 443
LOWEST_FREE_PORT = 1024
"""Below are services (mail, databases of old, shells) that must not be made to hear what we send."""
HIGHEST_PORT = 65535
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_SCHEMES = ("https", "http")


class AddressRefused(DocfleetError):
    """Messages are not sent to this address."""

    code = "address_refused"


class AddressUnknown(DocfleetError):
    """The host's name is not known, or no name server answered."""

    code = "address_unknown"
    retryable = True


def check_url(url: str, allow_private: bool) -> httpx.URL:
    """The address, taken apart. Raises `BadRequest` for one that no message would ever be sent to.

    A name is not looked up here, since what it says now it need not say later; an address written as a number is
    judged at once.
    """
    try:
        parts = httpx.URL(url)
        host = parts.raw_host.decode("ascii")
    except (httpx.InvalidURL, UnicodeError, ValueError, TypeError) as error:
        raise BadRequest("The address of the webhook is not a URL.") from error
    if parts.scheme not in _SCHEMES or not host:
        raise BadRequest("The address of a webhook begins with https:// and a host's name.")
    if parts.userinfo:
        raise BadRequest("The address of a webhook holds no user name and no password.")
    if parts.fragment:
        raise BadRequest("The address of a webhook holds no fragment (#…).")
    if parts.port is not None and not 0 < parts.port <= HIGHEST_PORT:
        raise BadRequest(f"A port is a number from 1 to {HIGHEST_PORT}.")
    if allow_private:
        return parts
    if parts.scheme != "https":
        raise BadRequest("The address of a webhook begins with https://.")
    if parts.port is not None and parts.port != HTTPS_PORT and parts.port < LOWEST_FREE_PORT:
        raise BadRequest(f"The port of a webhook is 443 or {LOWEST_FREE_PORT} and above.")
    literal = _literal(host)
    if literal is not None and not is_public(literal):
        raise BadRequest("The webhook is at an address of a private or reserved range.")
    if host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost"):
        raise BadRequest("The webhook is on this machine itself.")
    return parts


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """The address a host is that is written in numbers, also as 2130706433, 0x7f.1 or 127.1."""
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is one of the open internet, also by what it stands for when it wraps another."""
    if isinstance(address, IPv6Address):
        if address.scope_id is not None or address.is_site_local:
            return False
        if any(address in network for network in _NAT64):
            return False
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None:
            return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_loopback or address.is_link_local
        or address.is_unspecified or address.is_private
    )  # fmt: skip


def resolve(host: str, port: int, allow_private: bool) -> list[str]:
    """The addresses to connect to, in the system's order.

    Raises `AddressUnknown`, and `AddressRefused` when even one of them is not public: a name that points both ways
    was made to.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressUnknown(f"The name {host} is not known: {error}.") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not addresses:
        raise AddressUnknown(f"The name {host} has no address.")
    if not allow_private:
        refused = [address for address in addresses if not is_public(ip_address(address))]
        if refused:
            raise AddressRefused(f"{host} is at {refused[0]}, which is of a private or reserved range.")
    return addresses
