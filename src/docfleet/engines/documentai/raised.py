"""What Google's libraries raise, as failures. Loaded only where calls are made."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import msgspec

from docfleet.engines.documentai.failures import (
    Details,
    Failure,
    FailureKind,
    details_of_json,
    details_of_proto,
    failure_of_http,
    judge,
)

# by name: these packages come without types, and only where calls are made
grpc: Any = import_module("grpc")
_api: Any = import_module("google.api_core.exceptions")
_auth: Any = import_module("google.auth.exceptions")
_status: Any = import_module("google.rpc.status_pb2")
_DETAILS_KEY = "grpc-status-details-bin"


def failure_of(error: BaseException) -> Failure | None:
    """What an exception of gRPC, of the client library over gRPC or REST, of its HTTP, or of the credentials means.

    None: it is none of these, and most likely a defect.
    """
    if isinstance(error, _api.RetryError):
        return failure_of(error.cause) if error.cause is not None else judge("DEADLINE_EXCEEDED", str(error))
    if isinstance(error, _api.GoogleAPICallError):
        return _of_library(error)
    if isinstance(error, grpc.FutureTimeoutError):
        return judge("DEADLINE_EXCEEDED")
    if isinstance(error, grpc.FutureCancelledError):
        return judge("CANCELLED")
    if isinstance(error, grpc.RpcError):
        return _of_grpc(error)
    if isinstance(error, _auth.TransportError):
        return Failure(FailureKind.AWAY, "credentials_away", "UNAVAILABLE", message=str(error))
    if isinstance(error, _auth.DefaultCredentialsError):
        return Failure(FailureKind.SETUP, "no_credentials", "UNAUTHENTICATED", message=str(error))
    if isinstance(error, _auth.GoogleAuthError):
        return Failure(FailureKind.SETUP, "unauthenticated", "UNAUTHENTICATED", message=str(error))
    return _of_requests(error)


def _of_library(error: Any) -> Failure:
    response: Any = error.response
    if isinstance(response, grpc.RpcError):
        return _of_grpc(response)
    if hasattr(response, "status_code"):
        return _of_response(response)
    name = error.grpc_status_code.name if error.grpc_status_code is not None else None
    items = list(error.details)
    details = details_of_json(items) if items and isinstance(items[0], dict) else details_of_proto(items)
    if name is None:
        # the parents that REST raises know only their HTTP status
        return failure_of_http(int(error.code or 0), {"error": {"message": error.message, "details": items}})
    return judge(name, str(error.message), details)


def _of_response(response: Any) -> Failure:
    try:
        body = response.json()
    except ValueError:
        body = None
    headers = {str(key).lower(): str(value) for key, value in response.headers.items()}
    return failure_of_http(response.status_code, body, headers)


def _of_grpc(error: Any) -> Failure:
    code = error.code() if callable(getattr(error, "code", None)) else None
    trailing = dict(error.trailing_metadata() or ()) if hasattr(error, "trailing_metadata") else {}
    details = Details()
    if _DETAILS_KEY in trailing:
        try:
            details = details_of_proto(_status.Status.FromString(trailing[_DETAILS_KEY]).details)
        except ValueError:
            details = Details()
    answered = bool(trailing)
    name = code.name if code is not None else "UNKNOWN"
    message = error.details() if callable(getattr(error, "details", None)) else str(error)
    return judge(name, message or "", msgspec.structs.replace(details, answered=answered))


def _of_requests(error: BaseException) -> Failure | None:
    """`requests` carries REST and the credentials' own calls; it may be missing."""
    try:
        import requests
    except ImportError:
        return None
    if _is_unconnected(error, requests.exceptions):
        return Failure(FailureKind.AWAY, "not_reached", "UNAVAILABLE", message=str(error))
    if isinstance(error, requests.exceptions.Timeout):
        return judge("DEADLINE_EXCEEDED", str(error))
    if isinstance(error, requests.exceptions.RequestException):
        return judge("UNAVAILABLE", str(error))
    return None


def _is_unconnected(error: BaseException, known: Any) -> bool:
    """Whether no connection came about at all: nobody there, no such host, a certificate that is not trusted."""
    if isinstance(error, known.ConnectTimeout | known.SSLError | known.ProxyError):
        return True
    # urllib3's own reason stands in what `requests` made of it
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    unmade = import_module("urllib3.exceptions").NewConnectionError
    return isinstance(error, known.ConnectionError) and isinstance(reason, unmade)
