"""Analyses of a study: intervals, comparisons, effects, trade-offs. Reads finished results; runs nothing.

The door, imported on first use so that the light parts stay light (`analyze` alone imports numpy and scipy):

    from llem_analysis import Limit, analyze, audit, contrast, gate, pareto, pick

    analysis = analyze("results/NAME-TIMESTAMP")     # -> StudyAnalysis
    analysis.findings[0].text                        # a plain sentence
    analysis.figure("j_per_output_token").effects    # ranked, with shares of variance and intervals
    pareto("results/NAME-TIMESTAMP", ["j_per_output_token", "ttft_p50_s"]).points
    pick("results/NAME-TIMESTAMP", limits=[Limit("ttft_p50_s", 0.2)]).settings
    contrast(["results/BEFORE-TIMESTAMP", "results/AFTER-TIMESTAMP"]).overall
    gate("results/BEFORE-TIMESTAMP", "results/AFTER-TIMESTAMP", max_increase=0.03).verdict
    accept_baseline("results/MAIN-TIMESTAMP", "git:llem-baseline")
    replication("results/ORIGINAL-TIMESTAMP", "results/AGAIN-TIMESTAMP", margin=0.05).verdict
    audit("results/NAME-TIMESTAMP", "publication").outcomes

Each answer has `document()`: plain data, for JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llem_analysis.auditing import Audit, audit
    from llem_analysis.baselines import Baseline, accept_baseline, list_baselines, stored_baseline
    from llem_analysis.contrasting import StudyContrast, contrast
    from llem_analysis.front import Front, pareto
    from llem_analysis.gating import Gate, gate
    from llem_analysis.picking import Limit, Pick, pick
    from llem_analysis.replicas import Replication, replication
    from llem_analysis.study_effects import analyze
    from llem_analysis.study_models import StudyAnalysis

__all__ = [
    "Audit",
    "Baseline",
    "Front",
    "Gate",
    "Limit",
    "Pick",
    "Replication",
    "StudyAnalysis",
    "StudyContrast",
    "accept_baseline",
    "analyze",
    "audit",
    "contrast",
    "gate",
    "list_baselines",
    "pareto",
    "pick",
    "replication",
    "stored_baseline",
]

_HOME = {
    "Audit": "llem_analysis.auditing",
    "Baseline": "llem_analysis.baselines",
    "Front": "llem_analysis.front",
    "Gate": "llem_analysis.gating",
    "Limit": "llem_analysis.picking",
    "Pick": "llem_analysis.picking",
    "Replication": "llem_analysis.replicas",
    "StudyAnalysis": "llem_analysis.study_models",
    "StudyContrast": "llem_analysis.contrasting",
    "accept_baseline": "llem_analysis.baselines",
    "analyze": "llem_analysis.study_effects",
    "audit": "llem_analysis.auditing",
    "contrast": "llem_analysis.contrasting",
    "gate": "llem_analysis.gating",
    "list_baselines": "llem_analysis.baselines",
    "pareto": "llem_analysis.front",
    "pick": "llem_analysis.picking",
    "replication": "llem_analysis.replicas",
    "stored_baseline": "llem_analysis.baselines",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'llem_analysis' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
