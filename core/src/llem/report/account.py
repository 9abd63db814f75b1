"""How a study was measured, in sentences, and how to cite it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from llem.analysis.wording import amount, counted
from llem.errors import DOCUMENTATION, ResultError
from llem.results.store import MANIFEST, read_object

_METHODS = {
    "counter": "by the hardware's energy counters",
    "power": "by integrating sampled power",
    "estimate": "estimated (CPU utilisation times rated power), not measured",
}
_SCOPES = {"gpu": "GPUs", "cpu": "CPUs", "dram": "memory", "host": "the whole host"}


def method_sentences(rows: Sequence[Mapping[str, Any]], folder: Path) -> Iterator[str]:
    """What ran and what was measured, from runs that are done."""
    done = [row for row in rows if row.get("status") == "done"]
    if not done:
        return
    kinds = Counter(
        (row.get("energy.headline.scope"), row.get("energy.headline.method"))
        for row in done
        if row.get("energy.headline.method")
    )
    for (scope, method), count in kinds.items():
        of = "" if count == len(done) else f" in {counted(count, 'run')}"
        yield f"Energy is that of {_SCOPES.get(str(scope), scope)}, {_METHODS.get(str(method), method)}{of}."
    without = len(done) - sum(kinds.values())
    if without:
        yield f"{counted(without, 'run')} {'has' if without == 1 else 'have'} no energy: no meter could be read."
    if windows := [row["energy.window_s"] for row in done if row.get("energy.window_s") is not None]:
        low, high = amount(min(windows)), amount(max(windows))
        yield f"The measured window, after loading and warm-up, was {low if low == high else f'{low} to {high}'} s long."
    for what, source in (("model", "model.source"), ("dataset", "dataset.provenance")):
        found = list(dict.fromkeys(str(row[source]) for row in done if row.get(source)))
        if found:
            more = f" and {len(found) - 5:,} more" if len(found) > 5 else ""
            yield f"{what.capitalize()}{'s' * (len(found) > 1)}: {'; '.join(found[:5])}{more}."
    if order := _manifest(folder).get("order"):
        yield f"Experiments ran in {order} order."


def citation(folder: Path, title: str, rows: Sequence[Mapping[str, Any]], versions: Mapping[str, Sequence[str]]) -> str:
    """A sentence for a paper's methods, and a BibTeX entry of llem."""
    from importlib.metadata import version as version_of

    manifest = _manifest(folder)
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


def _manifest(folder: Path) -> Mapping[str, Any]:
    try:
        return read_object(folder / MANIFEST, "manifest")
    except ResultError:
        return {}
