"""The rule by which runs of the scenario `server` are skipped: rates above one that saturated."""

from __future__ import annotations

from llem.plugin_api import ExperimentConfig, ExperimentResult, config_hash
from llem_serving.config import LoadConfig
from llem_serving.rate_unit import rate_unit


class HigherRates:
    """Remembers at which rates a configuration saturated, and at which it kept up.

    A verdict that was certain skips what is higher; one that rests on a trend alone does so once a second run says the same. A run at
    that rate or above which kept up contradicts it, and nothing is skipped for it.
    """

    def __init__(self) -> None:
        self._saturated: dict[str, list[tuple[float, bool]]] = {}
        self._kept_up: dict[str, float] = {}

    def ended(self, config: ExperimentConfig, result: ExperimentResult) -> None:
        """See `SkipRule.ended`."""
        found = _apart(config)
        if found is None or result.status != "done":
            return
        rest, rate_rps = found
        if any(warning.code == "saturated" for warning in result.warnings):
            is_certain = result.scenario_metrics.get("saturation_shortfall") is not None
            self._saturated.setdefault(rest, []).append((rate_rps, is_certain))
        elif result.scenario_metrics.get("steady") != 0.0:
            self._kept_up[rest] = max(rate_rps, self._kept_up.get(rest, 0.0))

    def reason(self, config: ExperimentConfig) -> str | None:
        """See `SkipRule.reason`."""
        found = _apart(config)
        if found is None:
            return None
        rest, rate_rps = found
        kept_up = self._kept_up.get(rest, 0.0)
        below = [one for one in self._saturated.get(rest, ()) if kept_up < one[0] < rate_rps]
        if len(below) < 2 and not any(is_certain for _, is_certain in below):
            return None
        return (
            f"skipped: this configuration was saturated at {min(below)[0]:g} {rate_unit(config)} already. `llem resume --run-skipped` runs it, and "
            "execution.run_all: true runs every rate."
        )


def _apart(config: ExperimentConfig) -> tuple[str, float] | None:
    """The configuration without its rate, and the rate; None where it has none."""
    load = config.sections.get("load")
    if not isinstance(load, LoadConfig) or load.rate_rps is None:
        return None
    without = {**config.sections, "load": load.model_copy(update={"rate_rps": 1.0})}
    return config_hash(config.model_copy(update={"sections": without})), load.rate_rps
