"""The base of every section of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of a configuration: immutable, of exactly the declared keys, of exactly the declared types.

    Unknown keys, strings for numbers, NaN and infinities are errors. Backends derive their own section from this.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=())

    identifying: ClassVar[bool] = True
    """False for a section that says nothing about what an experiment is: when it is given up, or how it is judged."""

    retired: ClassVar[Mapping[str, str]] = {}
    """Keys that are refused although they look right (renamed, dropped, or settled elsewhere), each with what to do
    instead: a clause that a message ends with."""
