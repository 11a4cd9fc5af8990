"""Methods about processors, their versions and types, and locations."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

from google.cloud import documentai_v1
from google.cloud.location import locations_pb2
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2, timestamp_pb2

from docfleet.documentai_server.calls import Answer, CallFacts
from docfleet.documentai_server.catalog import Catalog, Processor
from docfleet.documentai_server.methods import LOCATIONS, Handler, MethodTable
from docfleet.documentai_server.names import (
    Place,
    parse_place,
    parse_processor,
    parse_project,
    parse_type,
)
from docfleet.documentai_server.paging import page_of
from docfleet.documentai_server.refusals import invalid, not_found
from docfleet.documentai_server.types import ALIASES

_Processor = documentai_v1.Processor.pb()
_Version = documentai_v1.ProcessorVersion.pb()
_Type = documentai_v1.ProcessorType.pb()
_Metadata = {
    "enable": (documentai_v1.EnableProcessorMetadata.pb(), documentai_v1.EnableProcessorResponse.pb()),
    "disable": (documentai_v1.DisableProcessorMetadata.pb(), documentai_v1.DisableProcessorResponse.pb()),
    "default": (
        documentai_v1.SetDefaultProcessorVersionMetadata.pb(),
        documentai_v1.SetDefaultProcessorVersionResponse.pb(),
    ),
}
_SUCCEEDED = int(documentai_v1.CommonOperationMetadata.State.SUCCEEDED)
_DELETE_METADATA = documentai_v1.DeleteProcessorMetadata.pb()


class Processors:
    """Handlers over a catalog. `keep` is told of every operation, which all are done when they are answered."""

    def __init__(self, catalog: Catalog, keep: Callable[[Any], None]) -> None:
        self._catalog = catalog
        self._keep = keep

    def register(self, methods: MethodTable) -> None:
        handlers: dict[str, Handler] = {
            "FetchProcessorTypes": self.fetch_types,
            "ListProcessorTypes": self.list_types,
            "GetProcessorType": self.get_type,
            "ListProcessors": self.list,
            "GetProcessor": self.get,
            "CreateProcessor": self.create,
            "DeleteProcessor": self.delete,
            "EnableProcessor": self.enable,
            "DisableProcessor": self.disable,
            "SetDefaultProcessorVersion": self.set_default,
            "ListProcessorVersions": self.list_versions,
            "GetProcessorVersion": self.get_version,
        }
        for name, handler in handlers.items():
            methods.register(name, handler)
        methods.register("ListLocations", self.list_locations, LOCATIONS)
        methods.register("GetLocation", self.get_location, LOCATIONS)

    # --- types

    def fetch_types(self, request: Any, call: CallFacts) -> Answer:
        place = self._place(request.parent)
        return documentai_v1.FetchProcessorTypesResponse.pb()(
            processor_types=[self._type(place, kind) for kind in sorted(self._catalog.types)]
        )

    def list_types(self, request: Any, call: CallFacts) -> Answer:
        place = self._place(request.parent)
        kinds, token = page_of(
            sorted(self._catalog.types), str, request.page_size, request.page_token, default=100, most=500
        )
        return documentai_v1.ListProcessorTypesResponse.pb()(
            processor_types=[self._type(place, kind) for kind in kinds], next_page_token=token
        )

    def get_type(self, request: Any, call: CallFacts) -> Answer:
        place, kind = parse_type(request.name)
        self._catalog.check_place(place, request.name)
        if kind not in self._catalog.types:
            raise not_found(request.name)
        return self._type(place, kind)

    def _type(self, place: Place, kind: str) -> Any:
        return _Type(
            name=f"{place.name}/processorTypes/{kind}",
            type_=kind,
            category=self._catalog.types[kind].category,
            available_locations=[{"location_id": location} for location in self._catalog.locations],
            allow_creation=True,
            launch_stage=4,  # GA
        )

    # --- processors

    def list(self, request: Any, call: CallFacts) -> Answer:
        place = self._place(request.parent)
        found, token = page_of(
            self._catalog.processors(place),
            lambda one: one.id,
            request.page_size,
            request.page_token,
            default=50,
            most=100,
        )
        return documentai_v1.ListProcessorsResponse.pb()(
            processors=[self._processor(one) for one in found], next_page_token=token
        )

    def get(self, request: Any, call: CallFacts) -> Answer:
        return self._processor(self._found(request.name))

    def create(self, request: Any, call: CallFacts) -> Answer:
        place = self._place(request.parent)
        asked = request.processor
        if not asked.type_:
            raise invalid("processor.type", "The type of the processor is missing.")
        if len(asked.display_name) > 64:
            raise invalid("processor.display_name", "The display name is longer than 64 characters.")
        return self._processor(self._catalog.create(place, asked.type_, asked.display_name))

    def delete(self, request: Any, call: CallFacts) -> Answer:
        processor = self._found(request.name)
        self._catalog.delete(processor)
        return self._done(processor, _DELETE_METADATA(), empty_pb2.Empty())

    def enable(self, request: Any, call: CallFacts) -> Answer:
        return self._switched(request.name, "enable", enabled=True)

    def disable(self, request: Any, call: CallFacts) -> Answer:
        return self._switched(request.name, "disable", enabled=False)

    def _switched(self, name: str, what: str, *, enabled: bool) -> Answer:
        processor = self._catalog.set_enabled(self._found(name), enabled)
        metadata, response = _Metadata[what]
        return self._done(processor, metadata(), response())

    def set_default(self, request: Any, call: CallFacts) -> Answer:
        name = parse_processor(request.processor, "processor")
        version = parse_processor(request.default_processor_version, "default_processor_version")
        if not version.version or (version.place, version.processor) != (name.place, name.processor):
            raise invalid("default_processor_version", "This is no version of the processor.")
        processor = self._catalog.get(version)
        processor = self._catalog.set_default(processor, self._catalog.version_of(processor, version.version))
        metadata, response = _Metadata["default"]
        return self._done(processor, metadata(), response())

    def _processor(self, processor: Processor) -> Any:
        name, default = processor.name, self._catalog.version_of(processor)
        first = self._catalog.types[processor.kind].versions[0]
        return _Processor(
            name=name.name,
            type_=processor.kind,
            display_name=processor.display_name,
            state=1 if processor.enabled else 2,
            default_processor_version=name.version_name(default),
            processor_version_aliases=[
                {"alias": name.version_name(alias), "processor_version": name.version_name(first)} for alias in ALIASES
            ],
            create_time=_timestamp(processor.created_at),
        )

    # --- versions

    def list_versions(self, request: Any, call: CallFacts) -> Answer:
        processor = self._found(request.parent, "parent")
        listed = {*self._catalog.types[processor.kind].versions, self._catalog.version_of(processor)}
        versions, token = page_of(sorted(listed), str, request.page_size, request.page_token, default=10, most=20)
        return documentai_v1.ListProcessorVersionsResponse.pb()(
            processor_versions=[_version(processor, version) for version in versions], next_page_token=token
        )

    def get_version(self, request: Any, call: CallFacts) -> Answer:
        name = parse_processor(request.name)
        if not name.version:
            raise invalid("name", "The name of a version is expected.")
        processor = self._catalog.get(name)
        return _version(processor, self._catalog.version_of(processor, name.version))

    # --- locations

    def list_locations(self, request: Any, call: CallFacts) -> Answer:
        project = parse_project(request.name)
        found, token = page_of(
            sorted(self._catalog.locations), str, request.page_size, request.page_token, default=100, most=500
        )
        return locations_pb2.ListLocationsResponse(
            locations=[_location(Place(project, location)) for location in found], next_page_token=token
        )

    def get_location(self, request: Any, call: CallFacts) -> Answer:
        place = parse_place(request.name, "name")
        if place.location not in self._catalog.locations:
            raise not_found(request.name)
        return _location(place)

    def _place(self, parent: str) -> Place:
        place = parse_place(parent)
        self._catalog.check_place(place, parent)
        return place

    def _found(self, name: str, field: str = "name") -> Processor:
        parsed = parse_processor(name, field)
        if parsed.version:
            raise invalid(field, "The name of a processor is expected, not of a version.")
        return self._catalog.get(parsed)

    def _done(self, processor: Processor, metadata: Any, response: Any) -> Any:
        now = _timestamp(time.time())
        common = metadata.common_metadata
        common.state, common.resource = _SUCCEEDED, processor.name.name
        common.create_time.CopyFrom(now)
        common.update_time.CopyFrom(now)
        operation = _done_operation(processor.place, metadata, response)
        self._keep(operation)
        return operation


def _done_operation(place: Place, metadata: Any, response: Any) -> Any:
    number = 10**17 + secrets.randbelow(9 * 10**17)
    operation = operations_pb2.Operation(name=f"{place.name}/operations/{number}", done=True)
    operation.metadata.Pack(metadata)
    operation.response.Pack(response)
    return operation


def _version(processor: Processor, version: str) -> Any:
    return _Version(
        name=processor.name.version_name(version),
        display_name=version,
        state=1,  # DEPLOYED
        google_managed=True,
        create_time=_timestamp(processor.created_at),
    )


def _location(place: Place) -> Any:
    return locations_pb2.Location(name=place.name, location_id=place.location)


def _timestamp(seconds: float) -> Any:
    whole = int(seconds)
    return timestamp_pb2.Timestamp(seconds=whole, nanos=int((seconds - whole) * 1e9))
