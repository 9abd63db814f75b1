"""What a study says: intervals, comparisons, effects, trade-offs. Reads finished results; runs nothing.

The door, imported on first use so that the light parts stay light (`analyze` alone needs the extra `llem[analysis]`):

    from llem.analysis import analyze

    analysis = analyze("results/NAME-TIMESTAMP")     # -> StudyAnalysis
    analysis.findings[0].text                        # a plain sentence
    analysis.figure("j_per_output_token").effects    # ranked, with shares of variance and intervals
    analysis.document()                              # plain data, for JSON
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llem.analysis.effect_models import StudyAnalysis
    from llem.analysis.study_effects import analyze

__all__ = ["StudyAnalysis", "analyze"]

_HOME = {
    "StudyAnalysis": "llem.analysis.effect_models",
    "analyze": "llem.analysis.study_effects",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'llem.analysis' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
