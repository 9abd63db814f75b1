"""The values of one axis: a list as written, or a range of which any value is computed when it is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

FORMS = "a list such as [1, 2, 4], {min: 0, max: 1, num: 5}, {log: [1, 1000, 4]} or {pow2: [1, 64]}"
"""The forms of an axis, for messages."""

_MOST = 10**15


class Values(Protocol):
    """The values of an axis, in order."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


class AxisError(ValueError):
    """A value that is no axis. `key` is the path to what is wrong, below the axis."""

    def __init__(self, message: str, *key: str | int) -> None:
        super().__init__(message)
        self.key = key


def parse_values(written: Any, *, whole: bool = False) -> Values:
    """The values of an axis.

    Args:
        written: the axis as it stands in the study.
        whole: the field takes whole numbers only, so that a range is rounded to them.

    Raises:
        AxisError: it is none of `FORMS`, or its bounds do not fit.
    """
    if isinstance(written, list):
        return written
    if not isinstance(written, Mapping):
        raise AxisError(f"an axis is {FORMS}; a single value belongs outside of `sweep`")
    if len(written) == 1 and "log" in written:
        return _log(written["log"], whole)
    if len(written) == 1 and "pow2" in written:
        return _pow2(written["pow2"])
    if written.keys() & {"min", "max", "num"}:
        return _linear(*_bounds(written), whole)
    raise AxisError(f"a mapping is no axis; an axis is {FORMS}, and its key is dotted, such as pytorch.batch_size")


@dataclass(frozen=True, slots=True)
class Linear:
    """`num` values at equal distance; both ends are among them."""

    low: Fraction
    step: Fraction
    num: int
    integers: bool

    def __len__(self) -> int:
        return self.num

    def __getitem__(self, index: int) -> int | float:
        # Exact until the end, so that 0.1 to 0.5 gives 0.3 and not 0.30000000000000004.
        value = self.low + self.step * index
        return round(value) if self.integers else float(value)


@dataclass(frozen=True, slots=True)
class Logarithmic:
    """`num` values at equal ratio; both ends are among them."""

    low: float
    high: float
    num: int
    integers: bool

    def __len__(self) -> int:
        return self.num

    def __getitem__(self, index: int) -> int | float:
        if self.num == 1 or index == 0:
            value = self.low
        elif index == self.num - 1:
            value = self.high
        else:
            value = math.exp(math.log(self.low) + (math.log(self.high) - math.log(self.low)) * index / (self.num - 1))
            # 15 digits leave out what exp and log add: 10.000000000000002 is 10.
            value = float(f"{value:.15g}") if not self.integers else value
        return round(value) if self.integers else float(value)


@dataclass(frozen=True, slots=True)
class Doubling:
    """Powers of two from `2**first` on."""

    first: int
    num: int

    def __len__(self) -> int:
        return self.num

    def __getitem__(self, index: int) -> int:
        return int(2 ** (self.first + index))


def _linear(low: float, high: float, num: int, whole: bool) -> Values:
    start = Fraction(str(low))
    step = (Fraction(str(high)) - start) / (num - 1) if num > 1 else Fraction(0)
    ends = isinstance(low, int) and isinstance(high, int)
    return Linear(start, step, num, ends and (whole or step.denominator == 1))


def _log(written: Any, whole: bool) -> Values:
    if isinstance(written, list):
        if len(written) != 3:
            raise AxisError("`log` takes three numbers: [min, max, num], such as [1, 1000, 4]", "log")
        written = dict(zip(("min", "max", "num"), written, strict=True))
    if not isinstance(written, Mapping):
        raise AxisError("`log` takes [min, max, num] or {min: …, max: …, num: …}", "log")
    low, high, num = _bounds(written, "log")
    if low <= 0:
        raise AxisError(f"`log` needs a min above 0, not {low}", "log")
    plain = Logarithmic(low, high, num, integers=False)
    ends = isinstance(low, int) and isinstance(high, int)
    # Powers of ten on an integer axis are integers, whatever the field takes; a long axis is not looked through for it.
    all_whole = ends and num <= 1_000 and all(float(plain[i]).is_integer() for i in range(num))
    return Logarithmic(low, high, num, integers=ends and (whole or all_whole))


def _pow2(written: Any) -> Values:
    ends = list(written) if isinstance(written, Sequence) and not isinstance(written, str) else []
    if len(ends) != 2 or not all(_is_power(end) for end in ends) or ends[0] > ends[1]:
        raise AxisError("`pow2` takes two powers of two, the lower one first, such as [1, 64]", "pow2")
    low, high = ends
    return Doubling(low.bit_length() - 1, high.bit_length() - low.bit_length() + 1)


def _is_power(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0 and value & (value - 1) == 0


def _bounds(written: Mapping[str, Any], *key: str) -> tuple[float, float, int]:
    unknown = [name for name in written if name not in {"min", "max", "num"}]
    if unknown:
        raise AxisError(f"a range has min, max and num; `{unknown[0]}` is none of them", *key, unknown[0])
    missing = [name for name in ("min", "max", "num") if name not in written]
    if missing:
        raise AxisError(f"a range needs min, max and num; {' and '.join(missing)} is missing", *key)
    low, high, num = written["min"], written["max"], written["num"]
    for name, value in (("min", low), ("max", high)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise AxisError(f"{name} must be a finite number, not {value!r}", *key, name)
    if isinstance(num, bool) or not isinstance(num, int) or num < 0:
        raise AxisError(f"num must be a whole number, how many values, not {num!r}", *key, "num")
    if num > _MOST:
        raise AxisError(f"{num:,} values are more than any study can run", *key, "num")
    if low > high:
        raise AxisError(f"min ({low}) is above max ({high})", *key)
    if num > 1 and low == high:
        raise AxisError(f"min and max are both {low}, so {num} values would be the same", *key)
    return low, high, num
