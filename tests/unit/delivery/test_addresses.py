"""Where messages may go."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

import pytest

from docfleet.delivery.addresses import AddressRefused, AddressUnknown, check_url, is_public, resolve
from docfleet.errors import BadRequest


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
     "192.0.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1",
     "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::127.0.0.1",
     "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1",
     "2001:db8::1", "2002:7f00:1::", "2002:a00:1::", "64:ff9b::7f00:1", "64:ff9b::808:808", "2001:0:1::1", "100::1"],
)  # fmt: skip
def test_what_is_not_the_open_internet(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "::ffff:8.8.8.8", "2002:808:808::"])
def test_what_is(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    ["", "example.org", "ftp://example.org/", "file:///etc/passwd", "https://", "https:///x", "http://example.org/",
     "https://user:pass@example.org/", "https://user@example.org/", "https://example.org/#x",
     "https://example.org:22/", "https://example.org:80/", "https://example.org:0/",
     "https://example.org:99999/", "https://127.0.0.1/", "https://2130706433/", "https://0x7f000001/",
     "https://0x7f.1/", "https://127.1/", "https://0/", "https://017700000001/", "https://[::1]/",
     "https://[::ffff:10.0.0.1]/", "https://[fe80::1]/", "https://localhost/", "https://LOCALHOST./",
     "https://a.localhost/", "https://169.254.169.254/latest/meta-data", "https://exam\nple.org/",
     "https://example.org/\r\nx: y", "javascript:alert(1)", "https://[::1", "https://\u0000/"],
)  # fmt: skip
def test_addresses_no_message_is_sent_to(url: str) -> None:
    with pytest.raises(BadRequest):
        check_url(url, allow_private=False)


@pytest.mark.parametrize(
    "url",
    ["https://example.org", "https://example.org/hook?x=1", "https://EXAMPLE.org:443/", "https://example.org:8443/a b",
     "https://bücher.example/", "https://8.8.8.8/", "https://[2606:4700::1111]/"],
)  # fmt: skip
def test_addresses_messages_are_sent_to(url: str) -> None:
    check_url(url, allow_private=False)


def test_at_home_everything_goes_but_other_schemes() -> None:
    for url in ("http://127.0.0.1:80/x", "http://localhost:9/", "http://192.168.0.7:8080/"):
        check_url(url, allow_private=True)
    for url in ("ftp://127.0.0.1/", "http://user:pass@127.0.0.1/", "/x"):
        with pytest.raises(BadRequest):
            check_url(url, allow_private=True)


def answering(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """The resolver, which a test cannot have answer at will otherwise."""

    def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
        if not addresses:
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_a_name_is_judged_by_every_address_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "8.8.8.8", "8.8.4.4", "8.8.8.8")
    assert resolve("example.org", 443, allow_private=False) == ["8.8.8.8", "8.8.4.4"]
    answering(monkeypatch, "8.8.8.8", "10.0.0.1")
    with pytest.raises(AddressRefused):
        resolve("example.org", 443, allow_private=False)
    assert resolve("example.org", 443, allow_private=True) == ["8.8.8.8", "10.0.0.1"]
    answering(monkeypatch)
    with pytest.raises(AddressUnknown):
        resolve("example.org", 443, allow_private=False)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433", "0x7f.1", "::1", "0"])
def test_what_the_system_takes_for_this_machine_is_refused(host: str) -> None:
    with pytest.raises((AddressRefused, AddressUnknown)):
        resolve(host, 443, allow_private=False)
