"""A study's citation: a sentence for a paper, and a BibTeX entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llem.plugin_api import DOCUMENTATION, MANIFEST, ResultError, read_object
from llem_analysis.wording import counted


def citation(
    manifest: Mapping[str, Any], title: str, rows: Sequence[Mapping[str, Any]], versions: Mapping[str, Sequence[str]]
) -> str:
    """A sentence for a paper's methods, and a BibTeX entry of llem."""
    from importlib.metadata import version as version_of

    version = ", ".join(versions.get("llem", ())) or str(manifest.get("llem_version") or version_of("llem"))
    engines = ", ".join(f"{name} {', '.join(of)}" for name, of in versions.items() if not name.startswith("llem"))
    dates = sorted(str(row["started_at"])[:10] for row in rows if row.get("started_at"))
    when = "" if not dates else f" on {dates[0]}" if dates[0] == dates[-1] else f" from {dates[0]} to {dates[-1]}"
    design = manifest.get("study_design_hash")
    with_engines = f" with {engines}" if engines else ""
    identity = f" The design of the study is identified by SHA-256 {design}." if design else ""
    year = dates[-1][:4] if dates else ""
    return (
        f"Study {title}: {counted(len(rows), 'experiment')} run{when} by llem {version}{with_engines}.{identity}\n\n"
        f"@software{{llem,\n  title = {{llem: energy, speed and latency of LLM inference across deployment choices}},\n"
        f"  author = {{{{llem contributors}}}},\n  version = {{{version}}},\n  year = {{{year}}},\n"
        f"  url = {{{DOCUMENTATION}}}\n}}"
    )


def study_manifest(folder: Path) -> Mapping[str, Any]:
    """The manifest as it stands on disk; empty where there is none that can be read."""
    try:
        return read_object(folder / MANIFEST, "manifest")
    except ResultError:
        return {}
