"""One SGLang version everywhere, checks before a study, and a process that cannot load SGLang."""

from __future__ import annotations

import importlib.util
import os
import tomllib
from pathlib import Path

import psutil
import pytest

import llem_sglang
from llem.config.compose import Composer
from llem.errors import ModelError
from llem.plugins import default_registry
from llem.specs.check import PreflightContext
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_plugin_kit import CheckConformance
from llem_sglang.hosted import LOG, Hosted
from llem_sglang.preflight import check_version
from llem_sglang.schema import DEFAULT, SCHEMAS, installed, versions

pytestmark = pytest.mark.process

PACKAGE = Path(llem_sglang.__file__).parent


class TestOptions(CheckConformance):
    check = "sglang-options"

    @pytest.fixture
    def trouble(self, tmp_path: Path) -> PreflightContext:
        options = {"keep_cache": True, "disable_radix_cache": True}
        document = {"model": "random:smollm2-135m", "backend": "sglang", "sglang": options}
        config = Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose(document)
        return PreflightContext(
            registry=default_registry(), experiments=[config], runners={"sglang": "local"}, base_dir=tmp_path
        )


class TestVersion(CheckConformance):
    check = "sglang-version"

    @pytest.fixture
    def trouble(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreflightContext:
        monkeypatch.setattr(SCHEMAS, "installed", lambda: "0.0.1")
        return PreflightContext(registry=default_registry(), runners={"sglang": "local"}, base_dir=tmp_path)


def test_the_schema_that_counts_by_default_is_of_the_sglang_that_the_extra_brings() -> None:
    assert DEFAULT in versions()
    extras = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert f"sglang=={DEFAULT}" in extras["engine"]


def test_a_local_run_without_sglang_is_an_error_and_with_it_is_fine() -> None:
    findings = list(check_version(PreflightContext(registry=default_registry(), runners={"sglang": "local"})))
    assert [found.level for found in findings] == (["ok"] if installed() in versions() else ["error"])


@pytest.mark.skipif(importlib.util.find_spec("sglang") is not None, reason="SGLang is installed here")
def test_a_process_that_cannot_import_sglang_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    hosted = Hosted("small", os.environ, str(tmp_path))
    process = psutil.Process(hosted._process.pid)
    try:
        with pytest.raises(ModelError) as caught:
            hosted.load({"model_path": "small"}, lambda _: None)
    finally:
        hosted.close()
    assert "SGLang cannot load it: No module named 'sglang'." in str(caught.value)
    assert not process.is_running()
    assert "ModuleNotFoundError" in (tmp_path / LOG).read_text()
