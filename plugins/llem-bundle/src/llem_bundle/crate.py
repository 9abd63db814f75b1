"""The description of a bundle by RO-Crate 1.1, made with the library `rocrate`, and with no clock but the study's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from llem.plugin_api import DOCUMENTATION
from llem_bundle.container import Measured
from llem_bundle.listing import LISTING

METADATA = "ro-crate-metadata.json"

_ABOUT = {
    "study.yaml": "the study as it was written",
    "study.json": "what the study was started with: options, environment and machine included",
    "manifest.json": "what was planned, and what became of each experiment",
    "journal.jsonl": "every change since the study was started or resumed",
    "experiment.json": "what was asked: the whole configuration with every default written out",
    "result.json": "every figure of one experiment, or why there are none",
    "events.jsonl": "phases of one experiment as they began and ended",
    "timeseries.parquet": "every reading of every meter of one experiment",
    "requests.parquet": "every request of one experiment's measured window",
    "summary.json": "means over cycles with their 95 % intervals",
    "hardware.json": "the machines that the experiments ran on",
    "images.json": "runners and images of the experiments",
    "audit.json": "the study held against rules of publication",
    "methods.txt": "how it was measured, and how to cite it",
    "report.html": "the report of the study, one page that needs no network",
    "CITATION.cff": "the measurements as something to cite",
    "index.json": "the files of prompts and arrivals in here, by the names that the study has for them",
    LISTING: "size and SHA-256 of every other file",
}
_FORMATS = {
    "json": "application/json",
    "jsonl": "application/jsonl",
    "yaml": "application/yaml",
    "cff": "application/yaml",
    "parquet": "application/vnd.apache.parquet",
    "txt": "text/plain",
    "html": "text/html",
    "csv": "text/csv",
    "sha256": "text/plain",
}
_BYTES = "application/octet-stream"


def crate_metadata(manifest: Mapping[str, Any], files: Iterable[Measured]) -> bytes:
    """The content of `ro-crate-metadata.json` for these files and the listing."""
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version="1.1")
    name = str(manifest.get("name") or "study")
    crate.name = f"Study {name}, measured by llem"
    crate.description = (
        "Energy, speed and latency of LLM inference: configurations, results, raw readings and requests. `llem verify` holds the "
        "figures against them."
    )
    # The library puts the clock there, and the same study has to give the same bytes.
    crate.root_dataset["datePublished"] = str(manifest.get("ended_at") or manifest.get("created_at") or "1980-01-01")
    crate.root_dataset["license"] = "Not stated by llem: it is for who publishes the study to say."
    for one in files:
        crate.add_file(dest_path=one.entry.name, properties=_properties(one.entry.name, one.entry.size, one.sha256))
    crate.add_file(dest_path=LISTING, properties=_properties(LISTING))
    made = {
        "@type": "SoftwareApplication",
        "name": "llem",
        "url": DOCUMENTATION,
        "version": str(manifest.get("llem_version")),
    }
    crate.add_jsonld({"@id": "#llem", **made})
    crate.root_dataset["mentions"] = {"@id": "#llem"}
    document = crate.metadata.generate()
    document["@graph"].sort(key=lambda entity: entity["@id"])
    return (json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def _properties(name: str, size: int | None = None, sha256: str | None = None) -> dict[str, Any]:
    last = name.rpartition("/")[2]
    about = _ABOUT.get(last) or ("packages of the process that measured" if last.startswith("packages-") else last)
    known: dict[str, Any] = {"name": about, "encodingFormat": _FORMATS.get(last.rpartition(".")[2], _BYTES)}
    if size is not None:
        known |= {"contentSize": str(size), "sha256": sha256}
    return known
