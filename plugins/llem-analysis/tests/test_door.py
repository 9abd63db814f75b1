"""The door of `llem_analysis`: light, complete, and plain where numpy and scipy are missing."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import llem_analysis
from llem.errors import PluginError

WriteDesign = Callable[..., Path]


def test_the_door_opens_to_everything_it_names() -> None:
    for name in llem_analysis.__all__:
        assert getattr(llem_analysis, name).__module__.startswith("llem_analysis.")
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = llem_analysis.nothing_like_it


@pytest.mark.process
def test_importing_it_imports_no_numbers_library() -> None:
    code = (
        "import sys, llem_analysis, llem_analysis.study_effects, llem_analysis.figure_effects, llem_analysis.front, "
        "llem_analysis.picking, llem_analysis.contrasting, llem_exporters.source, llem_exporters.mlflow_runs; "
        "print([name for name in ('numpy', 'scipy', 'pandas', 'pyarrow', 'mlflow', 'codecarbon') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_numpy_an_analysis_says_what_to_install(
    write_design: WriteDesign, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_design([{"a.x": 1}, {"a.x": 2}], energy=lambda p: float(p["a.x"]))
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(PluginError, match=r"pip install 'llem\[analysis\]'"):
        llem_analysis.analyze(folder)


def test_the_python_on_the_page_runs(write_design: WriteDesign) -> None:
    page = (Path(__file__).parents[3] / "docs" / "analysis.md").read_text(encoding="utf-8")
    block, reader = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert "mlenergy" in reader  # run where a study is exported: test_ml_energy_export.py
    names: dict[str, Any] = {}
    exec(block, names)
    folder = write_design([{"a.x": 1}, {"a.x": 2}], energy=lambda p: float(p["a.x"]), cycles=2)
    assert names["ranking"](folder) == ["1. a.x: 1.0"]
