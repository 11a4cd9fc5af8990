"""Certificates: those the user has, or a certificate authority of our own and what it signed."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
from pathlib import Path

import msgspec

from docfleet.errors import UsageError

AUTHORITY_FILE = "ca.pem"
CERTIFICATE_FILE = "server.pem"
KEY_FILE = "server-key.pem"
_DAYS = 825
"""The longest validity that common clients take."""
_RENEW_DAYS = 30


class TlsFiles(msgspec.Struct, frozen=True):
    """PEM files."""

    certificate: Path
    """The server's, followed by those between it and its authority."""
    key: Path
    client_authority: Path | None = None
    """Callers must show a certificate signed by this one; None: they need none."""


def check_tls(files: TlsFiles) -> None:
    """Raises `UsageError` unless the files are there and belong together."""
    for what, path in (("certificate", files.certificate), ("private key", files.key)):
        if not path.is_file():
            raise UsageError(f"TLS needs a certificate and its private key: there is no {what} {path}.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(str(files.certificate), str(files.key))
        if files.client_authority is not None:
            context.load_verify_locations(str(files.client_authority))
    except (ssl.SSLError, OSError) as error:
        raise UsageError(f"The certificates cannot be used: {error}.") from error


def self_signed(folder: Path, hosts: tuple[str, ...] = ()) -> TlsFiles:
    """A certificate for this machine and `hosts` under an authority of our own, kept in `folder` and used again.

    It is made anew when it ends within a month or lacks a host. The authority's private key is thrown away: nobody can
    sign with it again, and callers get a new `ca.pem` with a new certificate. Raises `UsageError` when the folder
    cannot be written.
    """
    names = tuple(dict.fromkeys(("localhost", "127.0.0.1", "::1", socket.gethostname(), *hosts)))
    files = TlsFiles(folder / CERTIFICATE_FILE, folder / KEY_FILE)
    try:
        if not ((folder / AUTHORITY_FILE).is_file() and _is_good(files, names)):
            folder.mkdir(parents=True, exist_ok=True)
            _make(folder, names)
    except OSError as error:
        raise UsageError(f"Certificates cannot be kept in {folder}: {error.strerror}.") from error
    return files


def environment_lines(folder: Path) -> list[str]:
    """What a client's environment needs to trust `self_signed`: gRPC, then REST."""
    authority = (folder / AUTHORITY_FILE).resolve()
    return [f"export GRPC_DEFAULT_SSL_ROOTS_FILE_PATH={authority}", f"export REQUESTS_CA_BUNDLE={authority}"]


def _is_good(files: TlsFiles, names: tuple[str, ...]) -> bool:
    from cryptography import x509

    if not (files.certificate.is_file() and files.key.is_file()):
        return False
    try:
        found = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        kept = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        check_tls(files)
    except (ValueError, x509.ExtensionNotFound, UsageError):
        return False
    ends = found.not_valid_after_utc - datetime.timedelta(days=_RENEW_DAYS)
    return ends > datetime.datetime.now(datetime.UTC) and all(name in kept for name in _names(names))


def _names(names: tuple[str, ...]) -> list[object]:
    from cryptography import x509

    found: list[object] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _make(folder: Path, names: tuple[str, ...]) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def named(what: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, what)])

    now = datetime.datetime.now(datetime.UTC)

    def certificate(subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority_name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=_DAYS))
        )

    authority_name = named("docfleet documentai-server authority")
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    signs = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    authority = (
        certificate(authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(signs, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    server = (
        certificate(named("docfleet documentai-server"), key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(_names(names)), critical=False)  # type: ignore[arg-type]
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _put(folder / KEY_FILE, private, 0o600)
    _put(folder / CERTIFICATE_FILE, server.public_bytes(pem), 0o644)
    _put(folder / AUTHORITY_FILE, authority.public_bytes(pem), 0o644)


def _put(path: Path, data: bytes, mode: int) -> None:
    half = path.with_name(f"{path.name}.half")
    half.unlink(missing_ok=True)
    with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    half.replace(path)
