"""The Apptainer runner's parts that start nothing: command lines, what an image's name means, and Apptainer's messages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llem.errors import ConfigError, LlemError
from llem.plugins import Registry
from llem.specs.runner import RunnerContext
from llem_apptainer import cache
from llem_apptainer.causes import ContainerRefused, start_error
from llem_apptainer.command import WORKER, Inside, exec_line, variables_for
from llem_apptainer.images import digest_of, reference_of, source_of
from llem_apptainer.options import ApptainerOptions
from llem_containers.apptainer import ApptainerUnavailable, find, numbers, steering
from llem_containers.errors import DiskFull, ImageMissing, ImageUnfit, PullFailed
from llem_containers.failures import signal_of
from llem_containers.mounts import Places
from llem_containers.sif import build_error, fatal


def inside(**parts: object) -> Inside:
    given = {
        "image": Path("/i/x.sif"),
        "job": Path("/r/container"),
        "scratch": Path("/tmp/s"),
        "options": ApptainerOptions.model_validate({}),
        **parts,
    }
    return Inside(**given)  # type: ignore[arg-type]


def mounts(line: list[str]) -> list[str]:
    return [line[at + 1] for at, word in enumerate(line) if word == "--mount"]


def test_a_container_has_its_own_of_everything_and_no_network() -> None:
    line = exec_line("/bin/apptainer", inside(), WORKER)
    assert line[:3] == ["/bin/apptainer", "--silent", "exec"]
    assert {"--containall", "--no-eval", "--no-privs"} <= set(line)
    assert line[line.index("--network") + 1] == "none"
    assert "--nv" not in line
    assert not {"--memory", "--cpus", "--pids-limit"} & set(line)
    assert line[-5:] == ["/i/x.sif", "python3", "-m", "llem.worker", "/llem/job"]
    assert mounts(line) == [
        "type=bind,source=/r/container,destination=/llem/job",
        "type=bind,source=/tmp/s,destination=/llem/scratch",
    ]


def test_limits_and_gpus_are_passed_on() -> None:
    options = ApptainerOptions.model_validate({"memory": "2g", "cpus": 1.5, "pids": 100})
    line = exec_line("apptainer", inside(options=options, gpus=True, online=True), WORKER)
    assert line[line.index("--memory") + 1] == str(2 * 2**30)
    assert line[line.index("--cpus") + 1] == "1.5"
    assert line[line.index("--pids-limit") + 1] == "100"
    assert "--nv" in line
    assert "--net" not in line


def test_paths_may_hold_what_separates_mounts_and_the_outer_one_comes_first() -> None:
    places = Places(read_only={"/a,b/c": "/a,b/c", '/q"x': '/q"x', "/a,b": "/a,b"}, hub=Path("/h:ub"), fetches=True)
    found = mounts(exec_line("apptainer", inside(places=places, token=Path("/dev/shm/t")), WORKER))[2:]
    assert found == [
        'type=bind,"source=/a,b","destination=/a,b",ro',
        'type=bind,"source=/a,b/c","destination=/a,b/c",ro',
        'type=bind,"source=/q""x","destination=/q""x",ro',
        "type=bind,source=/h:ub,destination=/llem/hub",
        "type=bind,source=/dev/shm/t,destination=/run/secrets/hf_token,ro",
    ]


def test_variables_go_inside_by_the_environment_and_not_by_the_command_line() -> None:
    assert variables_for({"A": "$(x) `y`", "HOME": "/h"}) == {"APPTAINERENV_A": "$(x) `y`"}


def test_the_users_own_settings_do_not_steer_a_container_but_those_of_its_files_stay() -> None:
    environ = dict.fromkeys(
        ["APPTAINER_BIND", "APPTAINERENV_X", "SINGULARITY_NV", "APPTAINER_TMPDIR", "APPTAINER_CACHEDIR", "PATH"], "1"
    )
    assert steering(environ) == ["APPTAINERENV_X", "APPTAINER_BIND", "SINGULARITY_NV"]


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ('FATAL:   "python3": executable file not found in $PATH', ImageUnfit, "no python3"),
        (
            (
                "FATAL:   container creation failed: while applying cgroups config: cannot use cgroups - system is not configured "
                "for cgroups v2 in unified mode"
            ),
            ContainerRefused,
            "cannot limit",
        ),
        (
            (
                "FATAL:   While checking container encryption: could not open image /x.sif: failed to retrieve path for /x.sif: "
                "lstat /x.sif: no such file or directory"
            ),
            ImageMissing,
            "not here",
        ),
        (
            "FATAL:   While checking container encryption: could not open image /x.sif: image format not recognized",
            ImageUnfit,
            "no image",
        ),
        (
            (
                "ERROR  : Failed to create user namespace: user namespace requires /proc/sys/user/max_user_namespaces to be "
                "non-zero\nERROR:   Failed to create user namespace"
            ),
            ApptainerUnavailable,
            "may not start containers",
        ),
        ("FATAL:   mount: no space left on device", DiskFull, "no room"),
        ("FATAL:   something new", ContainerRefused, "something new"),
        ("", ContainerRefused, "printed nothing"),
    ],
)
def test_a_refusal_says_what_it_means(said: str, kind: type[LlemError], words: str) -> None:
    error = start_error(said, "x.sif")
    assert type(error) is kind
    assert words in error.what
    assert error.remedy


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (
            "FATAL:   While performing build: conveyor failed to get: error reading the docker archive file: EOF",
            ImageUnfit,
        ),
        ("FATAL:   pinging container registry: connect: connection refused", PullFailed),
        ("FATAL:   reading manifest latest in x: manifest unknown", PullFailed),
        ("FATAL:   write /c/x: no space left on device", DiskFull),
    ],
)
def test_a_file_that_cannot_be_made_says_why(said: str, kind: type[LlemError]) -> None:
    assert type(build_error(said, "docker://x")) is kind


def test_the_last_error_counts_and_its_colours_do_not() -> None:
    assert fatal("\x1b[31mFATAL:  \x1b[0m one\nINFO: x\nFATAL:   two\n") == "two"
    assert fatal("\x1b[31mFATAL:  \x1b[0m one\n") == "one"
    assert fatal("INFO: x") is None


@pytest.mark.parametrize(
    ("code", "told"),
    [(0, (0, None)), (2, (2, None)), (137, (None, "SIGKILL")), (139, (None, "SIGSEGV")), (255, (255, None))],
)
def test_a_code_above_128_is_a_signal_and_255_is_none(code: int, told: tuple[int | None, str | None]) -> None:
    assert signal_of(code) == told


def test_what_an_image_is_shows_in_its_content(tmp_path: Path) -> None:
    (tmp_path / "a.img").write_bytes(b"#!/usr/bin/env run-singularity\n\0SIF_MAGIC\0" + bytes(600))
    (tmp_path / "b").write_bytes(bytes(257) + b"ustar" + bytes(600))
    (tmp_path / "c").write_bytes(b"\x1f\x8b" + bytes(600))
    (tmp_path / "d.sif").write_text("hello")
    kinds = {name: source_of(str(tmp_path / name)).kind for name in ("a.img", "b", "c")}
    assert kinds == {"a.img": "sif", "b": "archive", "c": "archive"}
    assert source_of(str(tmp_path)).kind == "folder"
    assert source_of("docker://x/y:z").kind == "address"
    archive = source_of(f"docker-archive:{tmp_path / 'b'}")
    assert (archive.kind, archive.uri) == ("archive", f"docker-archive:{tmp_path / 'b'}")
    with pytest.raises(ImageUnfit, match="neither a SIF file nor an archive"):
        source_of(str(tmp_path / "d.sif"))
    with pytest.raises(ImageMissing) as missing:
        source_of("llenergymeasure/vllm:1")
    assert "apptainer:docker://llenergymeasure/vllm" not in str(missing.value)
    with pytest.raises(ImageMissing, match="apptainer:docker://ubuntu"):
        source_of("ubuntu")


def test_a_backend_names_its_image_by_its_address() -> None:
    context = RunnerContext(registry=Registry(), backend="b", image="r/cuda:1", cpu_image="r/cpu:1")
    assert reference_of(context) == "docker://r/cpu:1"  # no GPU is there in a unit test
    with pytest.raises(ConfigError, match="names no image"):
        reference_of(RunnerContext(registry=Registry(), backend="b"))


def test_a_digest_is_read_again_when_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("one")
    first = digest_of(path)
    path.write_text("two")
    os.utime(path, (1, 1))
    assert digest_of(path) != first


def test_the_cache_knows_an_archive_by_its_content_and_refuses_a_file_that_changed(tmp_path: Path) -> None:
    import json

    archive = tmp_path / "x.tar"
    archive.write_bytes(bytes(257) + b"ustar" + bytes(600))
    moved = tmp_path / "sub" / "x.tar"
    moved.parent.mkdir()
    moved.write_bytes(archive.read_bytes())
    source = source_of(str(archive))
    assert cache.find(source, tmp_path / "cache") is None
    place = cache._place(source, tmp_path / "cache")
    assert cache._place(source_of(str(moved)), tmp_path / "cache") == place
    place.parent.mkdir()
    place.write_text("sif")
    place.with_suffix(".json").write_text(json.dumps({"digest": digest_of(place)}))
    found = cache.find(source, tmp_path / "cache")
    assert found is not None
    assert found.digest == digest_of(place)
    place.write_text("changed by somebody")
    assert cache.find(source, tmp_path / "cache") is None


def test_versions_compare_as_numbers() -> None:
    assert numbers("1.10.2") > numbers("1.9")
    assert numbers("1.4.5-2.el9") == (1, 4)
    assert numbers("unknown") == (0, 0)


def test_without_apptainer_it_says_so_and_names_what_is_there_instead(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ApptainerUnavailable, match="not installed here"):
        find()
    program = tmp_path / "singularity"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    with pytest.raises(ApptainerUnavailable, match="which llem does not use"):
        find()
