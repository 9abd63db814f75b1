"""Prints what the system that it runs in holds, as a CycloneDX 1.6 document: Python distributions and Debian packages.

It is copied into the build context and run while the image is built, so it uses the standard library only.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4


def document() -> dict[str, Any]:
    """The whole document."""
    components = sorted([*python_components(), *system_components()], key=lambda c: str(c["purl"]))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "component": {"type": "container", "name": "llem", "bom-ref": "image"},
        },
        "components": components,
    }


def python_components() -> Iterator[dict[str, Any]]:
    """One for each distribution of this Python environment."""
    seen = set()
    for distribution in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", distribution.name).lower()
        if name in seen:
            continue  # the same one twice on the path: the first is what is imported
        seen.add(name)
        yield _component(
            name, distribution.version, f"pkg:pypi/{name}@{quote(distribution.version)}", _licence(distribution)
        )


def system_components() -> Iterator[dict[str, Any]]:
    """One for each installed Debian package; none where there is no dpkg."""
    if shutil.which("dpkg-query") is None:
        return
    listing = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}\\t${Package}\\t${Version}\\t${Architecture}\\n"],
        capture_output=True,
        text=True,
        check=True,
    )
    vendor = platform.freedesktop_os_release().get("ID", "debian")
    for line in listing.stdout.splitlines():
        status, name, version, architecture = line.split("\t")
        if status.startswith("ii"):
            purl = f"pkg:deb/{vendor}/{quote(name)}@{quote(version)}?arch={architecture}"
            yield _component(name, version, purl, None)


def _licence(distribution: importlib.metadata.Distribution) -> dict[str, Any] | None:
    """By its SPDX expression, else by a short name; a field that holds a whole licence's text names none."""
    facts = distribution.metadata
    if "License-Expression" in facts:
        return {"expression": facts["License-Expression"]}
    name = facts["License"].strip() if "License" in facts else ""
    return {"license": {"name": name}} if name and len(name) <= 80 and "\n" not in name else None


def _component(name: str, version: str, purl: str, licence: dict[str, Any] | None) -> dict[str, Any]:
    found = {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}
    return {**found, "licenses": [licence]} if licence else found


if __name__ == "__main__":
    json.dump(document(), sys.stdout, indent=1, sort_keys=True)
    print()
