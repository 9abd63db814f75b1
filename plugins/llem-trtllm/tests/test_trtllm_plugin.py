"""One TensorRT-LLM version everywhere, checks before a study, and the image's recipe."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import llem_trtllm
from llem.plugins import default_registry
from llem.specs.check import PreflightContext
from llem.specs.kinds import BACKENDS
from llem_analysis.warning_codes import WARNINGS
from llem_docker.images.recipe import dockerfile_of, recipe
from llem_plugin_kit import CheckConformance
from llem_trtllm.caveats import CAVEATS
from llem_trtllm.config import TrtllmConfig
from llem_trtllm.preflight import check_version
from llem_trtllm.schema import DEFAULT, SCHEMAS, installed, versions

pytestmark = pytest.mark.process

PACKAGE = Path(llem_trtllm.__file__).parent
DOCKERFILE = PACKAGE / "image" / "Dockerfile"


class TestOptions(CheckConformance):
    check = "trtllm-options"

    @pytest.fixture
    def trouble(self, configured: Callable[..., Any], tmp_path: Path) -> PreflightContext:
        config = configured({"tensorrt": {"fast_build": True}})
        return PreflightContext(
            registry=default_registry(), experiments=[config], runners={"trtllm": "local"}, base_dir=tmp_path
        )


class TestVersion(CheckConformance):
    check = "trtllm-version"

    @pytest.fixture
    def trouble(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreflightContext:
        monkeypatch.setattr(SCHEMAS, "installed", lambda: "0.0.1")
        return PreflightContext(registry=default_registry(), runners={"trtllm": "local"}, base_dir=tmp_path)


def test_a_local_run_without_tensorrt_llm_is_an_error_that_says_what_brings_it() -> None:
    (found,) = check_version(PreflightContext(registry=default_registry(), runners={"trtllm": "local"}))
    assert found.level == ("ok" if installed() in versions() else "error")
    if found.level == "error":
        assert "pip install 'llem-trtllm[engine]'" in str(found.remedy)
        assert "image" in str(found.remedy)


def test_schema_extra_and_image_are_of_one_version() -> None:
    extras = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert f"tensorrt-llm=={DEFAULT}" in extras["engine"]
    found = recipe(default_registry(), "trtllm")
    assert found.engine_version == DEFAULT
    assert found.arguments["BASE"].endswith(f":{DEFAULT}")
    assert list(found.targets) == ["any"], "its only one"
    assert found.tag("cuda").endswith(f"-cuda{found.cuda('cuda').partition('.')[0]}")


def test_the_image_takes_the_engine_as_nvidia_made_it() -> None:
    text = DOCKERFILE.read_text()
    assert "nvcr.io/nvidia/tensorrt-llm/release" in text
    assert "--system-site-packages" in text
    whole = dockerfile_of(recipe(default_registry(), "trtllm"))
    assert "\nARG LLEM_BACKEND=trtllm\n" in whole
    assert whole.count("\nFROM ") == 1
    installs = re.findall(r"pip\.sh (.*)", text)
    assert installs
    assert not any("tensorrt" in line or "torch" in line for line in installs)


def test_registering_imports_no_engine_and_names_its_rivals() -> None:
    spec = default_registry()[BACKENDS]["trtllm"]
    assert spec.conflicts == {"pytorch", "vllm", "sglang"}
    assert "cpu" not in spec.capabilities
    assert spec.requires == ("tensorrt_llm",)
    assert "tensorrt_llm" not in sys.modules


def test_settings_that_it_did_not_take_and_cached_prompts_are_told() -> None:
    asked = TrtllmConfig.model_validate({"max_batch_size": 64})
    (caveat,) = CAVEATS.settings(asked, {"max_batch_size": 32}, "bfloat16")
    assert "trtllm.max_batch_size is 64, and TensorRT-LLM runs with 32" in caveat.message
    (cached,) = CAVEATS.counts({"prefix_cache_hit_tokens": 32.0, "prefix_cache_queried_tokens": 64.0})
    assert {caveat.code, cached.code} <= set(WARNINGS)
    assert "enable_block_reuse: false" in cached.message
