"""What all sections of the settings are made of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_settings import NoDecode

MEBIBYTE = 1024 * 1024


def _split_commas(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)]
"""A list that the environment gives as `a,b,c`."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
