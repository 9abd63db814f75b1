"""Conditions on rows of a study's table, as a user writes them: `status=failed`, `batch_size>=8`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llem.plugin_api import ConfigError, array_of, closest, is_json, json_text
from llem_analysis.metric_summary import METRIC_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

_FORM = re.compile(r"\s*(?P<key>[^=!<>]+?)\s*(?P<sign>!=|<=|>=|=|<|>)\s*(?P<value>.*?)\s*", re.DOTALL)
_SUGGESTED = 5


@dataclass(frozen=True)
class Condition:
    """One condition.

    Attributes:
        column: of `results.parquet`, by its full name.
        sign: `=`, `!=`, `<`, `<=`, `>` or `>=`.
        value: as it was written; `null` means that there is none.
    """

    column: str
    sign: str
    value: str

    def holds(self, column: pa.ChunkedArray[Any], field: pa.Field[Any]) -> Any:
        """For each value whether the condition holds; where there is no value only `= null` and `!= VALUE` do.

        Raises:
            ConfigError: the value is not of the column's type, or it has no order.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        called: Any = pc
        if self.value == "null" and self.sign in ("=", "!="):
            return called.is_null(column) if self.sign == "=" else called.is_valid(column)
        if pa.types.is_null(field.type):
            return called.is_null(column) if self.sign == "!=" else called.is_valid(column)
        if pa.types.is_list(field.type):
            found = _having(column, self.value)
            return called.invert(found) if self._equality() == "!=" else found
        value = self._value(field)
        if isinstance(value, str | bool):
            self._equality()
        compare: Callable[..., Any] = {
            "=": called.equal,
            "!=": called.not_equal,
            "<": called.less,
            "<=": called.less_equal,
            ">": called.greater,
            ">=": called.greater_equal,
        }[self.sign]
        return called.fill_null(compare(column, value), self.sign == "!=")

    def _value(self, field: pa.Field[Any]) -> Any:
        import pyarrow as pa

        if is_json(field):
            try:
                return json_text(json.loads(self.value))
            except ValueError:
                return json_text(self.value)
        if pa.types.is_boolean(field.type):
            if self.value in ("true", "false"):
                return self.value == "true"
            raise self._wrong("is true or false")
        if pa.types.is_string(field.type):
            return self.value
        try:
            return float(self.value)
        except ValueError:
            raise self._wrong("is a number") from None

    def _equality(self) -> str:
        if self.sign not in ("=", "!="):
            raise self._wrong("has no order: use = or !=")
        return self.sign

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(f"`{self.column}` {what}; `{self.column}{self.sign}{self.value}` cannot be looked for.")


def condition(text: str, columns: Collection[str]) -> Condition:
    """Read a condition. Raises ConfigError where it is none, or names no column."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"`{text}` is no condition.",
            remedy="Write KEY=VALUE, or != < <= > >= in its place: status=failed, batch_size>=8.",
        )
    return Condition(column_of(found["key"], columns), found["sign"], found["value"])


def column_of(name: str, columns: Collection[str]) -> str:
    """The column that a user means: its full name, a figure's short one (`tokens_per_s`), or how a single one ends.

    A swept key wins over whatever else has its name or its ending.

    Raises:
        ConfigError: there is none, or several.
    """
    for exact in (f"point.{name}", name):
        if exact in columns:
            return exact
    if METRIC_COLUMNS.get(name) in columns:
        return METRIC_COLUMNS[name]
    ending = [column for column in columns if column.endswith(f".{name}")]
    swept = [column for column in ending if column.startswith("point.")]
    for found in (swept, ending):
        if len(found) == 1:
            return found[0]
    if ending:
        raise ConfigError(
            f"`{name}` could mean {' or '.join(sorted(ending)[:_SUGGESTED])}.", remedy="Give the whole name."
        )
    last = {column.rpartition(".")[2]: column for column in columns}
    near = closest(name, [*columns, *last, *METRIC_COLUMNS])
    hint = f"Did you mean `{near}`?" if near else "docs/reference/results.md lists the columns."
    raise ConfigError(f"there is no column `{name}`.", remedy=hint)


def _having(column: pa.ChunkedArray[Any], value: str) -> pa.ChunkedArray[Any]:
    """A mask of the lists that have this value."""
    import pyarrow as pa

    return pa.chunked_array([array_of([value in (found or ()) for found in column.to_pylist()], pa.bool_())])
