"""Every method of Document AI's API: its messages, its REST rules, and what answers it here.

The table is held against the official client's own by a test. Methods without a handler answer UNIMPLEMENTED.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import msgspec

from docfleet.documentai_server.calls import Answer, CallFacts
from docfleet.documentai_server.refusals import not_served

DOCUMENTAI = "google.cloud.documentai.v1.DocumentProcessorService"
BETA = "google.cloud.documentai.v1beta3.DocumentProcessorService"
"""The version before: the same messages on the wire, as a test makes sure of, and so the same methods."""
OPERATIONS = "google.longrunning.Operations"
LOCATIONS = "google.cloud.location.Locations"

Handler = Callable[[Any, CallFacts], Answer]
"""(raw request message, facts) -> answer. Raises `Refusal`."""

_LOCATION = "projects/*/locations/*"
_PROCESSOR = f"{_LOCATION}/processors/*"
_VERSION = f"{_PROCESSOR}/processorVersions/*"
_OPERATION = f"{_LOCATION}/operations/*"


class Rule(msgspec.Struct, frozen=True):
    """One way to call a method over REST."""

    verb: str
    pattern: str
    """As in google.api.http: `{field=projects/*}` fills a field of the request."""
    body: str = ""
    """"*": the request; a name: that field of it; empty: no body, fields come as query parameters."""


class Method(msgspec.Struct, frozen=True):
    service: str
    name: str
    request_type: str
    """"module:Class" of the message."""
    response_type: str
    rules: tuple[Rule, ...] = ()

    @property
    def path(self) -> str:
        """As gRPC calls it."""
        return f"/{self.service}/{self.name}"

    def request_class(self) -> Any:
        """Raw (upb) class."""
        return _raw_class(self.request_type)

    def response_class(self) -> Any:
        return _raw_class(self.response_type)


def _raw_class(place: str) -> Any:
    module, _, name = place.partition(":")
    found = getattr(import_module(module), name)
    return found.pb() if hasattr(found, "pb") else found


def _rule(verb: str, pattern: str, body: str = "") -> Rule:
    return Rule(verb, f"/v1/{pattern}", body)


def _documentai(name: str, *rules: Rule, response: str = "") -> Method:
    types = "google.cloud.documentai_v1"
    place = "google.longrunning.operations_pb2:Operation" if response == "Operation" else f"{types}:{response}"
    return Method(DOCUMENTAI, name, f"{types}:{_REQUESTS.get(name, name + 'Request')}", place, rules)


_REQUESTS = {"ProcessDocument": "ProcessRequest", "BatchProcessDocuments": "BatchProcessRequest"}


def _operations(name: str, response: str, *rules: Rule) -> Method:
    pb2 = "google.longrunning.operations_pb2"
    place = response if ":" in response else f"{pb2}:{response}"
    return Method(OPERATIONS, name, f"{pb2}:{name}Request", place, rules)


def _locations(name: str, response: str, *rules: Rule) -> Method:
    pb2 = "google.cloud.location.locations_pb2"
    return Method(LOCATIONS, name, f"{pb2}:{name}Request", f"{pb2}:{response}", rules)


_EMPTY = "google.protobuf.empty_pb2:Empty"

METHODS: tuple[Method, ...] = (
    _documentai(
        "ProcessDocument",
        _rule("POST", f"{{name={_PROCESSOR}}}:process", "*"),
        _rule("POST", f"{{name={_VERSION}}}:process", "*"),
        response="ProcessResponse",
    ),
    _documentai(
        "BatchProcessDocuments",
        _rule("POST", f"{{name={_PROCESSOR}}}:batchProcess", "*"),
        _rule("POST", f"{{name={_VERSION}}}:batchProcess", "*"),
        response="Operation",
    ),
    _documentai(
        "FetchProcessorTypes",
        _rule("GET", f"{{parent={_LOCATION}}}:fetchProcessorTypes"),
        response="FetchProcessorTypesResponse",
    ),
    _documentai(
        "ListProcessorTypes",
        _rule("GET", f"{{parent={_LOCATION}}}/processorTypes"),
        response="ListProcessorTypesResponse",
    ),
    _documentai("GetProcessorType", _rule("GET", f"{{name={_LOCATION}/processorTypes/*}}"), response="ProcessorType"),
    _documentai(
        "ListProcessors", _rule("GET", f"{{parent={_LOCATION}}}/processors"), response="ListProcessorsResponse"
    ),
    _documentai("GetProcessor", _rule("GET", f"{{name={_PROCESSOR}}}"), response="Processor"),
    _documentai(
        "CreateProcessor", _rule("POST", f"{{parent={_LOCATION}}}/processors", "processor"), response="Processor"
    ),
    _documentai("DeleteProcessor", _rule("DELETE", f"{{name={_PROCESSOR}}}"), response="Operation"),
    _documentai("EnableProcessor", _rule("POST", f"{{name={_PROCESSOR}}}:enable", "*"), response="Operation"),
    _documentai("DisableProcessor", _rule("POST", f"{{name={_PROCESSOR}}}:disable", "*"), response="Operation"),
    _documentai(
        "SetDefaultProcessorVersion",
        _rule("POST", f"{{processor={_PROCESSOR}}}:setDefaultProcessorVersion", "*"),
        response="Operation",
    ),
    _documentai(
        "ListProcessorVersions",
        _rule("GET", f"{{parent={_PROCESSOR}}}/processorVersions"),
        response="ListProcessorVersionsResponse",
    ),
    _documentai("GetProcessorVersion", _rule("GET", f"{{name={_VERSION}}}"), response="ProcessorVersion"),
    _documentai(
        "TrainProcessorVersion",
        _rule("POST", f"{{parent={_PROCESSOR}}}/processorVersions:train", "*"),
        response="Operation",
    ),
    _documentai("DeployProcessorVersion", _rule("POST", f"{{name={_VERSION}}}:deploy", "*"), response="Operation"),
    _documentai("UndeployProcessorVersion", _rule("POST", f"{{name={_VERSION}}}:undeploy", "*"), response="Operation"),
    _documentai("DeleteProcessorVersion", _rule("DELETE", f"{{name={_VERSION}}}"), response="Operation"),
    _documentai(
        "EvaluateProcessorVersion",
        _rule("POST", f"{{processor_version={_VERSION}}}:evaluateProcessorVersion", "*"),
        response="Operation",
    ),
    _documentai("GetEvaluation", _rule("GET", f"{{name={_VERSION}/evaluations/*}}"), response="Evaluation"),
    _documentai(
        "ListEvaluations", _rule("GET", f"{{parent={_VERSION}}}/evaluations"), response="ListEvaluationsResponse"
    ),
    _documentai(
        "ReviewDocument",
        _rule("POST", f"{{human_review_config={_PROCESSOR}/humanReviewConfig}}:reviewDocument", "*"),
        response="Operation",
    ),
    _operations(
        "GetOperation",
        "Operation",
        _rule("GET", "{name=projects/*/operations/*}"),
        _rule("GET", f"{{name={_OPERATION}}}"),
    ),
    _operations(
        "ListOperations",
        "ListOperationsResponse",
        _rule("GET", "{name=projects/*/operations}"),
        _rule("GET", f"{{name={_LOCATION}/operations}}"),
    ),
    _operations(
        "CancelOperation",
        _EMPTY,
        _rule("POST", "{name=projects/*/operations/*}:cancel"),
        _rule("POST", f"{{name={_OPERATION}}}:cancel"),
    ),
    _operations("DeleteOperation", _EMPTY),
    _operations("WaitOperation", "Operation"),
    _locations("ListLocations", "ListLocationsResponse", _rule("GET", "{name=projects/*}/locations")),
    _locations("GetLocation", "Location", _rule("GET", f"{{name={_LOCATION}}}")),
)


def _older(method: Method) -> Method:
    """The method as clients of v1beta3 call it."""
    rules = tuple([Rule(rule.verb, rule.pattern.replace("/v1/", "/v1beta3/", 1), rule.body) for rule in method.rules])
    return msgspec.structs.replace(
        method, service=BETA if method.service == DOCUMENTAI else method.service, rules=rules
    )


class MethodTable:
    """What answers which method. Methods of v1beta3 are answered by those of v1."""

    def __init__(self) -> None:
        self._methods = {(method.service, method.name): method for method in METHODS}
        for method in METHODS:
            older = _older(method)
            if older.service == method.service:
                rules = (*method.rules, *older.rules)
                older = msgspec.structs.replace(method, rules=rules)
            self._methods[older.service, older.name] = older
        self._handlers: dict[str, Handler] = {}

    def register(self, name: str, handler: Handler, service: str = DOCUMENTAI) -> None:
        """`handler` answers the method from now on. Raises KeyError for one the API does not have."""
        self._handlers[self._methods[service, name].path] = handler

    def handler(self, method: Method) -> Handler:
        """What answers `method`; one that nothing answers is UNIMPLEMENTED."""
        if method.service == BETA:
            known = self._handlers.get(self._methods[DOCUMENTAI, method.name].path)
            # its clients take only results of their own version, and who asks for an operation does not say which
            return _of_beta(known) if known and method.name != "BatchProcessDocuments" else _unanswered(method.name)
        return self._handlers.get(method.path) or _unanswered(method.name)

    def __iter__(self) -> Iterator[Method]:
        return iter(self._methods.values())


def _unanswered(name: str) -> Handler:
    def refuse(request: Any, call: CallFacts) -> Answer:
        raise not_served(name)

    return refuse


def _of_beta(handler: Handler) -> Handler:
    """`handler`, with operations that have ended named by the types of v1beta3."""

    def answer(request: Any, call: CallFacts) -> Answer:
        found = handler(request, call)
        if getattr(found, "DESCRIPTOR", None) is None or found.DESCRIPTOR.full_name != "google.longrunning.Operation":
            return found
        changed = type(found)()
        changed.CopyFrom(found)
        for part in (changed.metadata, changed.response):
            part.type_url = part.type_url.replace(".documentai.v1.", ".documentai.v1beta3.")
        return changed

    return answer
