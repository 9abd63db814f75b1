"""A metric: a quantity of a result, with its unit and the direction in which it is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """Registration of a metric, by `llem_metrics`.

    Attributes:
        name: the word in `--figure`.
        api_version: the `API_VERSION` that it was written for.
        summary: its meaning, one line.
        label: noun phrase for people, without the unit, that fits into a sentence.
        unit: of its values, such as `J`.
        better: which direction is.
        of: the columns of `results.parquet` that it is read from: what warnings say of these, they say of it. One, which holds
            it, where there is no `value`.
        value: `package.module:function`; takes a mapping of the columns `of` to their values (None for what was not measured,
            or what a warning voids), and returns the value, or None where they do not tell it. It is computed whenever
            results are read, also of studies that ran before the plugin was there. None though all of them are told means that the
            value is beyond any number, such as energy over no good token: then its configuration has no mean either.
        scale: `log` where ratios are compared, and every value is above 0; `linear` where they mean nothing. What analyses,
            comparisons and choices say are ratios, so that they take no linear metric.
        energy: it comes from a meter, so that its method counts (measured or estimated).
        main: analyses and comparisons look at it where nobody names a figure.
        shown: it has a column in the table of `llem show`, where a configuration has it.
    """

    name: str
    api_version: int
    summary: str
    label: str
    unit: str
    better: Literal["lower", "higher"]
    of: tuple[str, ...]
    value: str | None = None
    scale: Literal["log", "linear"] = "log"
    energy: bool = False
    main: bool = False
    shown: bool = False

    def __post_init__(self) -> None:
        if not self.of or (self.value is None and len(self.of) > 1):
            raise ValueError(f"the metric `{self.name}` is of no column, or of several without a function (value)")

    @property
    def column(self) -> str:
        """The column that holds it in rows: llem's own, or `metric.NAME` for one that is computed."""
        return self.of[0] if self.value is None else f"metric.{self.name}"
