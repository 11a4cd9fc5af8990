"""The only reader of the environment and of docfleet.toml.

Order, first wins: command-line options, `DOCFLEET_*` environment variables (nested with two underscores:
`DOCFLEET_LIMITS__MAX_PAGES`), `docfleet.toml` in the working directory (or the file `DOCFLEET_CONFIG` names), defaults.
Units are in the names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from docfleet.errors import UsageError
from docfleet.settings.cloud import (
    CascadeSettings,
    DocumentAIServerSettings,
    DocumentAISettings,
    MoneySettings,
    ProcessorSettings,
    QuotaSettings,
)
from docfleet.settings.console import ConsoleSettings
from docfleet.settings.reading import LimitSettings, OutputSettings, ReadingSettings, WorkSettings
from docfleet.settings.reports import ReportSettings
from docfleet.settings.scaling import PoolScalingSettings, ScalingSettings
from docfleet.settings.service import ApiSettings, DeliverySettings, FleetSettings, ServiceSettings
from docfleet.settings.telemetry import TelemetrySettings

__all__ = [
    "ApiSettings",
    "CascadeSettings",
    "ConsoleSettings",
    "DeliverySettings",
    "DocumentAIServerSettings",
    "DocumentAISettings",
    "FleetSettings",
    "LimitSettings",
    "MoneySettings",
    "OutputSettings",
    "PoolScalingSettings",
    "ProcessorSettings",
    "QuotaSettings",
    "ReadingSettings",
    "ReportSettings",
    "ScalingSettings",
    "ServiceSettings",
    "Settings",
    "TelemetrySettings",
    "WorkSettings",
    "read_settings",
]


def _toml_file() -> Path:
    return Path(os.environ.get("DOCFLEET_CONFIG", "docfleet.toml"))


class Settings(BaseSettings):
    """Everything that can be set, frozen once read."""

    model_config = SettingsConfigDict(
        env_prefix="DOCFLEET_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        nested_model_default_partial_update=True,
    )

    limits: LimitSettings = LimitSettings()
    reading: ReadingSettings = ReadingSettings()
    cascade: CascadeSettings = CascadeSettings()
    work: WorkSettings = WorkSettings()
    output: OutputSettings = OutputSettings()
    service: ServiceSettings = ServiceSettings()
    api: ApiSettings = ApiSettings()
    console: ConsoleSettings = ConsoleSettings()
    fleet: FleetSettings = FleetSettings()
    scaling: ScalingSettings = ScalingSettings()
    quota: QuotaSettings = QuotaSettings()
    delivery: DeliverySettings = DeliverySettings()
    money: MoneySettings = MoneySettings()
    reports: ReportSettings = ReportSettings()
    documentai: DocumentAISettings = DocumentAISettings()
    documentai_server: DocumentAIServerSettings = DocumentAIServerSettings()
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=_toml_file()))


def read_settings(**overrides: dict[str, Any]) -> Settings:
    """Reads settings; `overrides` maps a section to the values given on the command line (None: not given).

    Raises `UsageError` with the name of the setting that is wrong.
    """
    config = os.environ.get("DOCFLEET_CONFIG")
    if config and not Path(config).is_file():
        raise UsageError(f"DOCFLEET_CONFIG names {config}, which is not a file.")
    given = {
        section: kept
        for section, values in overrides.items()
        if (kept := {name: value for name, value in values.items() if value is not None})
    }
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"The setting {where} is wrong: {first['msg']}.") from error
    except ValueError as error:
        raise UsageError(f"{_toml_file()} cannot be read: {error}.") from error
