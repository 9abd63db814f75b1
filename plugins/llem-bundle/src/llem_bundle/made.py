"""Files of a bundle that are no files of the study: summary, environments, audit, methods, report, citation."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from llem.plugin_api import DOCUMENTATION, RESULT, StudyResult, read_object
from llem_analysis.configurations import summarise
from llem_analysis.parquet_rows import parquet_rows
from llem_bundle.study_files import job_names

_HARDWARE = ("node", "exclusive", "machine", "os", "cpu", "memory", "gpu", "meters", "python")


def made_files(study: Path, manifest: Mapping[str, Any], rules: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of each. The same study and the same versions of llem give the same bytes."""
    yield "summary.json", _json({"configurations": _summary(study)})
    kinds = _environments(study)
    yield "environment/hardware.json", _json([kind["hardware"] for kind in kinds])
    yield "environment/images.json", _json([kind["image"] for kind in kinds])
    for number, kind in enumerate(kinds, 1):
        yield f"environment/packages-{number}.txt", _packages(kind["packages"])
    yield "audit.json", _json(_audit(study, rules))
    yield "CITATION.cff", _citation(manifest, kinds)
    if importlib.util.find_spec("llem_report") is not None:
        yield from _report(study)


def _json(data: Any) -> bytes:
    return (json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False, default=str) + "\n").encode()


def _summary(study: Path) -> list[dict[str, Any]]:
    """Means over cycles with their intervals, as `llem show` gives them, with the cycles that each is of."""
    found = []
    for one in summarise(parquet_rows(StudyResult(study).to_arrow())):
        document = one.document()
        figures = {
            name: {"cycles": list(one.figures[name].cycles), **figure}
            for name, figure in document["figures"].items()
            if figure is not None
        }
        found.append({**document, "figures": figures, "directories": sorted(one.directories)})
    return found


def _environments(study: Path) -> list[dict[str, Any]]:
    """The kinds of environment that runs had: hardware, image and packages as their results recorded them."""
    found: dict[str, dict[str, Any]] = {}
    for job in job_names(study):
        if not (study / job / RESULT).is_file():
            continue
        result = read_object(study / job / RESULT, "result")
        environment = result.get("environment") or {}
        runner = (environment.get("study") or {}).get("runner") or {}
        facts = result.get("facts") or {}
        kind = {
            "hardware": {key: environment.get(key) for key in _HARDWARE} | {"devices": facts.get("devices")},
            "image": {key: runner.get(key) for key in ("name", "argument", "image_id")} | {"image": facts.get("image")},
            "packages": environment.get("packages") or {},
        }
        kept = found.setdefault(json.dumps(kind, sort_keys=True, default=str), kind)
        kept.setdefault("experiments", []).append(job)
    for kind in found.values():
        kind["hardware"] = {"experiments": kind["experiments"], **kind["hardware"]}
        kind["image"] = {"experiments": kind["experiments"], **kind["image"]}
    return list(found.values())


def _packages(packages: Mapping[str, Any]) -> bytes:
    """Names and versions, as pip takes them. No lock by PEP 751: that asks for the files of each, which no result records."""
    lines = [f"{name}=={version}" for name, version in sorted(packages.items())]
    head = (
        "# The packages of the process that measured, by name and version, as its results recorded them.\n"
        "# Not a lock by PEP 751: the files that they were installed from, and their digests, were not recorded.\n"
    )
    return (head + "".join(f"{line}\n" for line in lines)).encode()


def _audit(study: Path, rules: str) -> dict[str, Any]:
    from llem_analysis.auditing import audit

    # By its name alone: where the folder lay when it was bundled is no property of the study.
    return {**audit(study, rules).document(), "study_directory": study.resolve().name}


def _citation(manifest: Mapping[str, Any], kinds: Sequence[Mapping[str, Any]]) -> bytes:
    """The study as something that can be cited, by the Citation File Format 1.2.0. Who measured it is theirs to add."""
    name, day = (
        str(manifest.get("name") or "study"),
        str(manifest.get("ended_at") or manifest.get("created_at") or "")[:10],
    )
    versions = sorted({str(kind["packages"]["llem"]) for kind in kinds if kind["packages"].get("llem")})
    quoted = json.dumps(f"{name}: measurements of LLM inference by llem", ensure_ascii=False)
    lines = [
        "cff-version: 1.2.0",
        "message: Cite these measurements as below, with the names of who made them.",
        "type: dataset",
        f"title: {quoted}",
        "authors:",
        f"  - name: {json.dumps(f'Whoever ran the study {name}', ensure_ascii=False)}",
    ]
    if len(day) == 10:
        lines.append(f"date-released: {day}")
    if manifest.get("study_design_hash"):
        lines += [
            "identifiers:",
            "  - type: other",
            f"    value: {json.dumps('sha256:' + str(manifest['study_design_hash']))}",
            "    description: SHA-256 of the study's design",
        ]
    lines += [
        "references:",
        "  - type: software",
        "    title: llem",
        "    authors:",
        "      - name: The llem maintainers",
        *([f"    version: {json.dumps(', '.join(versions))}"] if versions else []),
        f"    url: {DOCUMENTATION}",
    ]
    return ("\n".join(lines) + "\n").encode()


def _report(study: Path) -> Iterator[tuple[str, bytes]]:
    """The methods text and the report's page."""
    from llem_report.gather import gather
    from llem_report.page import write_page

    found = gather(study)
    yield "methods.txt", ("\n".join(found.method) + "\n\n" + found.citation + "\n").encode()
    with tempfile.TemporaryDirectory(prefix="llem-bundle-") as folder:
        page = Path(folder) / "report.html"
        write_page(found, page)
        yield "report.html", page.read_bytes()
