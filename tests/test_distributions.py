"""The distributions: one version, wheels that install into an empty environment and work there."""

from __future__ import annotations

import subprocess
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from llem.distributions import DISTRIBUTIONS
from llem.plugins import Registry
from llem.specs.kinds import COMMANDS, DATASETS, STOPPING_RULES

ROOT = Path(__file__).parent.parent
MEMBERS = [ROOT / "core", *sorted((ROOT / "plugins").iterdir()), *sorted((ROOT / "runners").iterdir())]


def _project(member: Path) -> dict[str, object]:
    data = tomllib.loads((member / "pyproject.toml").read_text())["project"]
    assert isinstance(data, dict)
    return data


def test_all_distributions_have_one_version() -> None:
    assert len({_project(member)["version"] for member in MEMBERS}) == 1


def test_plugins_ask_for_the_core_of_their_own_version() -> None:
    for member in MEMBERS[1:]:
        project = _project(member)
        dependencies = project["dependencies"]
        assert isinstance(dependencies, list)
        assert f"llem=={project['version']}" in dependencies, member.name


def test_the_core_knows_which_distribution_brings_each_command() -> None:
    registry, found = Registry(), {}
    for name in registry[COMMANDS]:
        found.setdefault(registry.provider(COMMANDS, name).distribution, set()).add(name)
    found.pop("llem", None)
    assert {one.name: set(one.commands) for one in DISTRIBUTIONS if one.commands} == found


def test_the_core_knows_which_distribution_brings_each_dataset() -> None:
    registry, found = Registry(), {}
    for name in registry[DATASETS]:
        found.setdefault(registry.provider(DATASETS, name).distribution, set()).add(name)
    found.pop("llem", None)
    assert {one.name: set(one.datasets) for one in DISTRIBUTIONS if one.datasets} == found


def test_the_core_knows_which_distribution_brings_the_stopping_rule() -> None:
    registry = Registry()
    found = {registry.provider(STOPPING_RULES, name).distribution for name in registry[STOPPING_RULES]}
    assert {one.name for one in DISTRIBUTIONS if "execution.until" in one.settings} == found


def test_what_the_core_advises_to_install_is_there() -> None:
    extras = _project(ROOT / "core")["optional-dependencies"]
    assert isinstance(extras, dict)
    for one in DISTRIBUTIONS:
        name, _, extra = one.asked_as.rstrip("]").partition("[")
        if extra and name == one.name:
            own = _project(ROOT / "plugins" / name)["optional-dependencies"]
            assert isinstance(own, dict)
            assert own[extra]
        elif extra:
            assert name == "llem"
            assert f"{one.name}=={_project(ROOT / 'core')['version']}" in extras[extra]
        else:
            assert name == one.name


def test_what_make_installs_is_pinned() -> None:
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    asked = (ROOT / "requirements-dev.txt").read_text().splitlines()
    names = {line.strip().lower() for line in asked if line.strip() and not line.startswith("#")}
    assert names <= pinned, names - pinned
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text()


@pytest.mark.install
def test_wheels_carry_their_data_and_type_marker(wheels: dict[str, Path]) -> None:
    core = set(zipfile.ZipFile(wheels["llem"]).namelist())
    assert {"llem/py.typed", "llem/datasets/aienergyscore.jsonl", "llem/models/peaks.toml"} <= core
    assert "llem_hub/shapes/llama-3.1-8b.json" in zipfile.ZipFile(wheels["llem_hub"]).namelist()
    assets = ROOT / "plugins" / "llem-report" / "src" / "llem_report" / "assets"
    report = set(zipfile.ZipFile(wheels["llem_report"]).namelist())
    assert {f"llem_report/assets/{path.name}" for path in assets.iterdir()} <= report
    assert "llem_start/demo.yaml" in zipfile.ZipFile(wheels["llem_start"]).namelist()
    kit = set(zipfile.ZipFile(wheels["llem_plugin_kit"]).namelist())
    templates = "llem_plugin_kit/scaffold/templates"
    assert {f"{templates}/common/ci.yml.txt", f"{templates}/sampler/test.py.txt"} <= kit
    for package in ("llem_pytorch", "llem_vllm", "llem_sglang"):
        names = zipfile.ZipFile(wheels[package]).namelist()
        assert f"{package}/image/Dockerfile" in names
    assert "llem_sglang/image/cpu.txt" in zipfile.ZipFile(wheels["llem_sglang"]).namelist()
    shared = ROOT / "runners" / "llem-docker" / "src" / "llem_docker" / "images" / "shared"
    named = {f"llem_docker/images/shared/{path.name}" for path in shared.iterdir() if path.is_file()}
    assert {"llem_docker/images/shared/Dockerfile.last", "llem_docker/images/shared/entrypoint.sh"} <= named
    assert named <= set(zipfile.ZipFile(wheels["llem_docker"]).namelist())
    for package in wheels:
        assert f"{package}/py.typed" in zipfile.ZipFile(wheels[package]).namelist()
    for wheel in wheels.values():
        names = zipfile.ZipFile(wheel).namelist()
        assert not [n for n in names if "/tests/" in n or n.endswith(".pyc")]


@pytest.mark.install
@pytest.mark.timeout(1200)
def test_wheels_install_into_an_empty_environment_and_run_an_experiment(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    home = tmp_path / "env"
    venv.create(home, with_pip=True)
    pip = [
        str(home / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        "-c",
        str(ROOT / "constraints.txt"),
    ]
    llem = str(home / "bin" / "llem")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}

    def run(*arguments: str, code: int = 0) -> str:
        command = [llem, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
        assert done.returncode == code, done.stderr
        return done.stderr if code else done.stdout

    subprocess.run([*pip, str(wheels["llem"])], check=True)
    assert run("--version").strip() == f"llem {_project(ROOT / 'core')['version']}"
    assert "local" in run("plugins")
    subprocess.run(
        [
            *pip,
            *(
                str(wheels[name])
                for name in ("llem_hub", "llem_containers", "llem_docker", "llem_engines", "llem_vllm")
            ),
        ],
        check=True,
    )
    assert "llenergymeasure/vllm" in run("images", "list")
    run("images", "build", "vllm", "--context", "context")
    for wheel in (tmp_path / "context" / "llem").iterdir():
        built = zipfile.ZipFile(wheels[wheel.name.split("-")[0]])
        repacked = zipfile.ZipFile(wheel)
        assert set(repacked.namelist()) == set(built.namelist())
        assert all(repacked.read(n) == built.read(n) for n in built.namelist() if not n.endswith("RECORD"))
    subprocess.run([*pip, "torch"], check=True)
    subprocess.run([*pip, str(wheels["llem_pytorch"])], check=True)
    assert "pytorch" in run("plugins")
    quick = [
        "--set",
        "measurement.min_window_s=1",
        "--set",
        "baseline.enabled=false",
        "-n",
        "2",
        "--output-tokens",
        "4",
    ]
    shown = run("run", "--model", "random:tiny-llama", "--backend", "pytorch", "--no-gaps", "--output", "out", *quick)
    assert "1 experiment, 1 done" in shown
    assert "no table of figures: the command `show` comes with llem-analysis" in shown
    (study,) = (tmp_path / "out").iterdir()
    for one in DISTRIBUTIONS:
        if one.name != "llem-docker":
            for command in one.commands:
                assert one.install in run(command, str(study), code=4)
    subprocess.run([*pip, "--find-links", str(wheels["llem"].parent), "llem[all]"], check=True)
    assert "tokens/s" in run("show", str(study))
    assert "there is nothing to analyse" in run("analyze", str(study), code=2)  # of one configuration
    assert "done" in run("export", str(study), "--format", "csv")
    run("report", str(study))
    assert (study / "report.html").stat().st_size > 100_000
