"""A backend that imports what PyTorch's does and then generates by a clock, installed into a folder for PYTHONPATH."""

from __future__ import annotations

from pathlib import Path

MODULES = (
    "torch",
    "transformers.modeling_utils",
    "transformers.generation.utils",
    "transformers.models.auto.modeling_auto",
    "transformers.models.llama.modeling_llama",
)
"""Modules that an engine on PyTorch has imported when it has loaded a model."""

_ENGINE = """
from __future__ import annotations
import MODULES
from llem_testbed import TestbedEngine

class ImportingEngine(TestbedEngine):
    pass
"""

_PLUGIN = """
from __future__ import annotations
from dataclasses import replace
import llem_testbed
from llem.hookspecs import hookimpl

@hookimpl
def llem_backends():
    (testbed,) = llem_testbed.llem_backends()
    return [replace(testbed, name="importing", engine="llem_importing_engine:ImportingEngine")]
"""


def install(folder: Path) -> None:
    """Make it a distribution in this folder."""
    folder.mkdir(parents=True)
    (folder / "llem_importing_engine.py").write_text(_ENGINE.replace("MODULES", ", ".join(MODULES)))
    (folder / "llem_importing.py").write_text(_PLUGIN)
    info = folder / "llem_importing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llem-importing\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[llem]\nimporting = llem_importing\n")
