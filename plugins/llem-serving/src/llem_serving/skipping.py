"""The rule by which runs of the scenario `server` are skipped: rates above one that saturated."""

from __future__ import annotations

from llem.plugin_api import ExperimentConfig, ExperimentResult, config_hash
from llem_serving.config import LoadConfig


class HigherRates:
    """Remembers at which rates a configuration saturated. One that has run above and did not saturate is not skipped."""

    def __init__(self) -> None:
        self._saturated: dict[str, float] = {}
        self._kept_up: dict[str, set[float]] = {}

    def ended(self, config: ExperimentConfig, result: ExperimentResult) -> None:
        """See `SkipRule.ended`."""
        found = _apart(config)
        if found is None or result.status != "done":
            return
        rest, rate_rps = found
        if any(warning.code == "saturated" for warning in result.warnings):
            self._saturated[rest] = min(rate_rps, self._saturated.get(rest, rate_rps))
        else:
            self._kept_up.setdefault(rest, set()).add(rate_rps)

    def reason(self, config: ExperimentConfig) -> str | None:
        """See `SkipRule.reason`."""
        found = _apart(config)
        if found is None:
            return None
        rest, rate_rps = found
        saturated = self._saturated.get(rest)
        if saturated is None or rate_rps <= saturated or rate_rps in self._kept_up.get(rest, ()):
            return None
        return (
            f"skipped: this configuration was saturated at {saturated:g} requests/s already. `llem resume --run-skipped` runs it, and "
            "execution.run_all: true runs every rate."
        )


def _apart(config: ExperimentConfig) -> tuple[str, float] | None:
    """The configuration without its rate, and the rate; None where it has none."""
    load = config.sections.get("load")
    if not isinstance(load, LoadConfig) or load.rate_rps is None:
        return None
    without = {**config.sections, "load": load.model_copy(update={"rate_rps": 1.0})}
    return config_hash(config.model_copy(update={"sections": without})), load.rate_rps
