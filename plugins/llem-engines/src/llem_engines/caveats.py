"""Caveats of an engine: settings that it did not take, and work that it saved or did twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llem.plugin_api import Caveat, Section
from llem_engines.names import EngineNames
from llem_engines.section import given

_BY_ENGINE = frozenset({"auto", None})
"""Values that leave the decision to the engine."""

_NAMED = 3
_SPELLINGS = {"half": "float16", "float": "float32"}


@dataclass(frozen=True)
class EngineCaveats:
    """The caveats of one engine. Pure functions.

    Attributes:
        names: of the engine.
        no_cache: switches its cache of prompts off, as a study says it.
        cached: the end of the caveat of prompt tokens out of that cache.
        taken_back: verb for a request that lost its place, in the passive.
        more_room: what gives requests more room.
        renamed: options whose decided value stands under another name.
    """

    names: EngineNames
    no_cache: str
    cached: str
    taken_back: str
    more_room: str
    renamed: Mapping[str, str] = field(default_factory=dict)

    def settings(self, options: Section, effective: Mapping[str, Any], dtype: str | None) -> list[Caveat]:
        """A caveat where the engine decided otherwise than an option that the study gives."""
        engine, backend = self.names.engine, self.names.backend
        decided = {**effective, "dtype": dtype}
        found = []
        for name, asked in given(options).items():
            if not isinstance(asked, (bool, int, float, str)) or asked in _BY_ENGINE:
                continue
            has = decided.get(self.renamed.get(name, name))
            if has is not None and _comparable(has) != _comparable(asked):
                found.append(f"{backend}.{name} is {asked}, and {engine} runs with {has}")
        if not found:
            return []
        more = f", and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        return [
            Caveat(
                "setting_ignored",
                f"not everything ran as the study says: {'; '.join(found[:_NAMED])}{more}. {self.names.log} has {engine}'s reason; "
                "leave the setting out, or take a model and device that have it.",
            )
        ]

    def cache(self, times: int) -> list[Caveat]:
        """A caveat where the cache of prompts was not emptied, so many times, before prompts came again."""
        if not times:
            return []
        return [
            Caveat(
                "prefix_cache_kept",
                f"{self.names.engine} could not empty its {self.names.cache} {times} times before prompts of an earlier pass came again: "
                f"they were found in it, and less was computed than they hold. Set {self.no_cache}.",
            )
        ]

    def counts(self, metrics: Mapping[str, float]) -> list[Caveat]:
        """Caveats of what was counted in the window: prompt tokens out of the cache, and requests that the engine took back."""
        engine, found = self.names.engine, []
        hits, queried = metrics.get("prefix_cache_hit_tokens", 0.0), metrics.get("prefix_cache_queried_tokens", 0.0)
        if hits > 0 and queried > 0:
            share = f"{hits:,.0f} of {queried:,.0f} prompt tokens ({hits / queried:.1%})"
            found.append(Caveat("prompt_cached", f"{share} came from {engine}'s {self.names.cache}{self.cached}"))
        if (taken_back := metrics.get("preemptions", 0.0)) > 0:
            found.append(
                Caveat(
                    "preempted",
                    f"{engine}'s key-value cache was full, and requests under way were {self.taken_back} and computed again "
                    f"{taken_back:,.0f} times in the window. {self.more_room}",
                )
            )
        return found


class Untold:
    """Caveats of a run that were not told yet: those of its start once, and those of its counts after each window.

    Args:
        caveats: of the engine.
    """

    def __init__(self, caveats: EngineCaveats) -> None:
        self._caveats = caveats
        self._of_start: list[Caveat] = []
        self._counts_a_window = False

    def at_start(self, found: Iterable[Caveat]) -> None:
        """Keep what became known when the model was loaded."""
        self._of_start += found

    def window_begins(self) -> None:
        """Note that counts have been reset: until then they are of no window."""
        self._counts_a_window = True

    def tell(self, kept: int, figures: Callable[[], Mapping[str, float]], *others: Caveat) -> list[Caveat]:
        """All of them, in the order of the result.

        Args:
            kept: number of times that the cache of prompts could not be emptied.
            figures: gives the engine's counts.
            others: that belong behind those of the start.
        """
        of_start, self._of_start = self._of_start, []
        counted = self._caveats.counts(figures()) if self._counts_a_window else []
        self._counts_a_window = False
        return [*of_start, *others, *self._caveats.cache(kept), *counted]


def _comparable(value: Any) -> Any:
    """Spelling apart: bfloat16 and torch.bfloat16, half and float16, FLASH_ATTN and flash_attn are one."""
    if not isinstance(value, str):
        return value
    simple = value.lower().removeprefix("torch.")
    return _SPELLINGS.get(simple, simple)
