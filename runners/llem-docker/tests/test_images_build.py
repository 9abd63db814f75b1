"""`llem images` around the engine: contexts, clients, progress, the bill of materials."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llem.errors import ConfigError, LlemError, PluginError, PreflightError
from llem.plugins import Registry
from llem_containers.errors import DiskFull, PullFailed
from llem_docker.images.as_sif import place_of
from llem_docker.images.build import BuildOptions, build, builder
from llem_docker.images.context import write_context
from llem_docker.images.distributions import worker_distributions
from llem_docker.images.inventory import inventory
from llem_docker.images.names import all_names
from llem_docker.images.pull import progress
from llem_docker.images.recipe import SHARED, dockerfile_of, recipe
from llem_docker.images.shared import sbom


def _program(folder: Path, script: str) -> str:
    folder.mkdir(exist_ok=True)
    file = folder / "docker"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


BUILDX = 'case "$1 $2" in "buildx version") echo v0.30;; *) exit 1;; esac'
NEW_WITHOUT = 'case "$1" in --version) echo "Docker version 28.2.2, build e6534b4";; *) exit 1;; esac'
OLD = 'case "$1" in --version) echo "Docker version 20.10.24, build 297e128";; *) exit 1;; esac'


@pytest.mark.process
def test_the_context_holds_all_that_the_dockerfile_asks_for(tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    (house / "torch-1-py3-none-any.whl").write_bytes(b"wheel")
    folder = write_context(recipe(Registry(), "vllm"), tmp_path / "context", house)
    assert (folder / "wheelhouse" / "torch-1-py3-none-any.whl").read_bytes() == b"wheel"
    wheels = {path.name.split("-")[0].replace("_", "-") for path in (folder / "llem").iterdir()}
    assert wheels == set(worker_distributions(Registry(), "llem-vllm"))
    text = (folder / "Dockerfile").read_text(encoding="utf-8")
    assert text == dockerfile_of(recipe(Registry(), "vllm"))
    for name in ("shared", "llem", "wheelhouse"):
        assert (folder / name).is_dir()
        assert f"source={name}," in text
    for name in re.findall(r"/shared/([\w.]+)|COPY shared/(\S+)", text):
        assert (folder / "shared" / "".join(name)).is_file(), name
    assert {path.name for path in folder.iterdir()} == {"Dockerfile", "shared", "llem", "wheelhouse"}


def test_an_image_holds_the_scenarios_that_are_installed_with_the_plugins_that_they_need_and_no_other_backend() -> None:
    """The load is put to the engine inside the container."""
    found = worker_distributions(Registry(), "llem-vllm")
    assert list(found[:2]) == ["llem", "llem-vllm"]
    assert {"llem-serving", "llem-analysis"} <= set(found), "llem-serving builds on llem-analysis"
    assert "llem-engines" in found, "llem-vllm builds on it, and it registers nothing"
    assert not {"llem-pytorch", "llem-docker", "numpy"} & set(found)
    assert len(set(found)) == len(found)


def test_an_image_holds_the_plugin_that_its_backend_names_in_an_extra_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "llem_other-1.dist-info"
    folder.mkdir()
    needs = ("torch; extra == 'engine'", "llem-openai; extra == 'http'", "llem-nowhere; extra == 'http'")
    lines = ["Metadata-Version: 2.4", "Name: llem-other", "Version: 1", *(f"Requires-Dist: {one}" for one in needs)]
    (folder / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = set(worker_distributions(Registry(), "llem-other"))
    assert {"llem-other", "llem-openai"} <= found
    assert not {"torch", "llem-nowhere"} & found


@pytest.mark.process
def test_other_files_of_the_folder_go_into_the_context_and_none_takes_the_place_of_llems(tmp_path: Path) -> None:
    image = tmp_path / "image"
    (image / "patches").mkdir(parents=True)
    (image / "Dockerfile").write_text("FROM debian\nCOPY patches /patches\n")
    (image / "patches" / "one.patch").write_text("+1\n")
    theirs = dataclasses.replace(recipe(Registry(), "vllm"), folder=image)
    folder = write_context(theirs, tmp_path / "context")
    assert (folder / "patches" / "one.patch").read_text() == "+1\n"
    (image / "shared").mkdir()
    with pytest.raises(PluginError, match="brings `image/shared`, a name that llem's own part"):
        write_context(theirs, tmp_path / "another")


def test_a_context_is_not_mixed_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")
    with pytest.raises(ConfigError, match="a folder of its own"):
        write_context(recipe(Registry(), "vllm"), tmp_path)


def test_a_wheelhouse_without_wheels_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no wheel in this folder"):
        write_context(recipe(Registry(), "vllm"), tmp_path / "new", tmp_path)


@pytest.mark.process
def test_a_client_with_buildx_is_taken(tmp_path: Path) -> None:
    client = _program(tmp_path, BUILDX)
    assert builder(client) == [client, "buildx", "build", "--load"]


@pytest.mark.process
def test_a_new_client_without_buildx_is_passed_over_for_an_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, old = _program(tmp_path / "a", NEW_WITHOUT), _program(tmp_path / "b", OLD)
    monkeypatch.setenv("PATH", f"{tmp_path / 'a'}:{tmp_path / 'b'}")
    assert builder(None) == [old, "build"]
    with pytest.raises(PreflightError, match=r"Docker version 28\.2\.2.* its plugin buildx is missing"):
        builder(new)


def test_no_client_is_said_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PreflightError, match=r"no Docker client on the PATH\. Install one"):
        builder(None)


@pytest.mark.process
def test_a_failed_build_names_the_command_that_can_be_repeated(tmp_path: Path) -> None:
    client = _program(tmp_path, BUILDX)
    with pytest.raises(LlemError, match=r"ended with exit code 1.* buildx build --load --build-arg TARGET=cpu"):
        build(recipe(Registry(), "vllm"), tmp_path, BuildOptions(target="cpu"), client)


@pytest.mark.process
def test_the_build_takes_secrets_as_files_never_as_values(tmp_path: Path) -> None:
    secret = tmp_path / "pip.conf"
    secret.write_text("[global]\nindex-url = https://user:word@index.example/simple\n")
    client = _program(tmp_path, f"{BUILDX.replace('*) exit 1', f'*) echo $* > {tmp_path}/words')}")
    options = BuildOptions(target="cpu", pip_conf=secret, network="host", cache=False)
    tag = build(recipe(Registry(), "vllm"), tmp_path, options, client)
    words = (tmp_path / "words").read_text()
    assert f"--secret id=pip,src={secret}" in words
    assert "word@index" not in words
    assert f"--network host --no-cache --tag {tag} {tmp_path}" in words


def test_progress_counts_layers_and_sizes() -> None:
    events = [
        {"status": "Pulling from llenergymeasure/vllm", "id": "0.1.0-cpu"},
        {"status": "Already exists", "id": "a"},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": 1 << 20, "total": 4 << 20}},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": (1 << 20) + 1, "total": 4 << 20}},
        {"status": "Download complete", "id": "b"},
        {"status": "Pull complete", "id": "b"},
    ]
    lines = list(progress(events, "x"))
    assert lines == ["1 of 1 layers, 0 of 0 MiB", "1 of 2 layers, 1 of 4 MiB", "1 of 2 layers, 4 of 4 MiB"]


def test_an_error_in_the_stream_of_a_pull_is_told_by_its_cause() -> None:
    with pytest.raises(PullFailed, match="manifest unknown"):
        list(progress([{"error": "manifest unknown"}], "x:1"))
    with pytest.raises(DiskFull, match="no space left"):
        list(progress([{"error": "write /var/lib/docker/tmp/x: no space left on device"}], "x:1"))


LABELLED = {
    "Id": "sha256:1",
    "Size": 3 << 20,
    "Config": {"Labels": {"llem.backend": "vllm", "llem.target": "cpu", "llem.version": "0.0.1", "llem.cuda": ""}},
}


def test_the_list_has_what_backends_want_first_and_then_what_is_here() -> None:
    names = all_names(Registry())
    wanted = names["vllm"]["cpu"]
    other = {**LABELLED, "Id": "sha256:2", "RepoTags": ["mine:latest"]}
    untagged = {**LABELLED, "Id": "sha256:3", "RepoTags": []}
    listed = list(inventory(names, [{**LABELLED, "RepoTags": [wanted]}, other, untagged]))
    present = {image.reference: image for image in listed if image.present}
    assert present.keys() == {wanted, "mine:latest", "sha256:3"}
    assert listed[-2].reference == "mine:latest"
    image = present[wanted]
    assert (image.llem_version, image.cuda, image.size_mb) == ("0.0.1", None, 3.0)


def test_an_image_from_outside_is_listed_by_the_name_that_its_backend_says() -> None:
    names = {"theirs": {"any": "docker.io/us/theirs"}}
    vendors = {"Id": "sha256:4", "Size": 1 << 20, "RepoTags": ["us/theirs:latest", "us/theirs:old"], "Config": {}}
    assert [(i.reference, i.present) for i in inventory(names, [])] == [("docker.io/us/theirs", False)]
    (image,) = inventory(names, [vendors])
    assert (image.reference, image.backend, image.target, image.present) == (
        "docker.io/us/theirs",
        "theirs",
        "any",
        True,
    )
    assert (image.llem_version, image.engine) == (None, None)
    own = {**LABELLED, "RepoTags": ["us/theirs:latest"]}
    assert len(list(inventory(names, [own]))) == 1


@pytest.mark.process
def test_the_bill_of_materials_holds_every_distribution_once() -> None:
    script = str(Path(sbom.__file__))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    references = [component["bom-ref"] for component in document["components"]]
    assert len(references) == len(set(references))
    assert any(reference.startswith("pkg:pypi/pydantic@") for reference in references)


@pytest.mark.process
@pytest.mark.parametrize("value", [None, "/nowhere/experiment.json", "SETUP"])
def test_the_entrypoint_says_what_it_lacks(value: str | None, tmp_path: Path) -> None:
    script = SHARED / "entrypoint.sh"
    (tmp_path / "other.json").write_text("{}")
    environment = {"PATH": os.environ["PATH"]}
    if value:
        environment["LLEM_CONFIG_PATH"] = str(tmp_path / "other.json") if value == "SETUP" else value
    done = subprocess.run(["sh", str(script)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "LLEM_CONFIG_PATH" in done.stderr


def _llem_images(folder: Path, path: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llem", "images", "build", "pytorch", *words]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )


@pytest.mark.process
def test_a_sif_file_without_apptainer_or_a_place_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    built = tmp_path / "built"
    program = _program(
        tmp_path / "bin", f'case "$1" in --version) echo "Docker version 20.10.24, build 0";; *) touch {built};; esac'
    )
    path = str(Path(program).parent)
    without = _llem_images(tmp_path, path, "--format", "sif")
    assert without.returncode != 0
    assert "Apptainer is not installed here" in without.stderr
    nowhere = _llem_images(tmp_path, path, "--format", "sif", "--output", str(tmp_path / "none" / "x.sif"))
    assert "no SIF file can be written here" in nowhere.stderr
    assert "--output FILE.sif" in nowhere.stderr
    for words in (("--output", "x.sif"), ("--format", "sif", "--context", "context")):
        assert "--format sif --output FILE.sif, without --context" in _llem_images(tmp_path, path, *words).stderr
    assert not built.exists()
    assert [one.name for one in tmp_path.iterdir()] == ["bin"]


def test_a_sif_file_is_called_as_the_image_is_and_lies_where_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert place_of("ghcr.io/us/sglang:0.1.0-cuda13", None) == Path("sglang-0.1.0-cuda13.sif")
    assert place_of("mine", None) == Path("mine-latest.sif")
    assert place_of("mine", tmp_path / "x.sif") == tmp_path / "x.sif"
    with pytest.raises(ConfigError, match="no SIF file can be written here"):
        place_of("mine", tmp_path)
