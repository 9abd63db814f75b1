"""`llem doctor`: every check, and the next step that it names for each kind of machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from llem.errors import SamplerClosed
from llem.specs.check import Finding
from llem_start.advice import Machine, after_doctor

pytestmark = pytest.mark.usefixtures("without_other_plugins")

METERED = frozenset({"counter", "power"})
WARNING = Finding(check="governor", level="warning", message="clocks vary", remedy="Fix them.")
FULL = Finding(check="output", level="error", message="only 1 MiB free", remedy="Make room.")
HERE = {"pytorch": None}
CLOSED = SamplerClosed("the counters are not readable for this user.", command="sudo open-it", caution="Think first.")


@pytest.mark.parametrize(
    ("machine", "state", "step"),
    [
        (Machine(methods=METERED), "No backend is installed", "pip install llem-pytorch"),
        (Machine(set_aside=["llem-pytorch"]), "set aside", "pip install --force-reinstall llem-pytorch"),
        (Machine(backends=HERE, methods=METERED), "Ready.", "llem init"),
        (Machine(backends=HERE, methods=METERED, closed=[CLOSED]), "Ready.", "llem init"),
        (Machine(backends=HERE, methods=METERED, findings=[WARNING]), "Ready, with 1 warning to judge.", "llem init"),
        (Machine(backends=HERE, findings=[FULL, WARNING]), "1 error", "Make room; then llem doctor"),
        (
            Machine(backends={"vllm": "pip install 'llem-vllm[engine]'"}, methods=METERED),
            "No backend can run here",
            "pip install 'llem-vllm[engine]'",
        ),
        (Machine(backends={"vllm": "pip install x", **HERE}, methods=METERED), "Ready.", "llem init"),
        (
            Machine(backends=HERE, methods=frozenset({"estimate"}), closed=[CLOSED]),
            "Energy would be an estimate: the counters are not readable for this user. Think first.",
            "sudo open-it && llem doctor",
        ),
        (Machine(backends=HERE, methods=frozenset({"estimate"})), "an estimate", "llem init"),
        (Machine(backends=HERE), "energy will not", "llem init"),
    ],
)
def test_the_next_step_is_the_one_that_is_best_taken(machine: Machine, state: str, step: str) -> None:
    advice = after_doctor(machine)
    assert state in advice.state
    assert advice.step == step


def test_torch_s_small_build_is_named_where_there_is_no_gpu() -> None:
    assert "PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu" in after_doctor(Machine()).state
    assert "PIP_EXTRA_INDEX_URL" not in after_doctor(Machine(has_gpu=True)).state


def test_doctor_ends_with_it(llem: Any) -> None:
    done = llem("doctor")
    told = json.loads(llem("doctor", "--json").stdout)["next"]
    assert done.stdout.splitlines()[-1] == f"Next: {told['step']}"


def test_checks_without_anything_to_do_are_one_line_that_counts_them_and_are_listed_on_request(llem: Any) -> None:
    told = json.loads(llem("doctor", "--json").stdout)["findings"]
    idle = [finding["check"] for finding in told if finding["message"] == "nothing to check without a study"]
    assert len(idle) > 1
    short, long = llem("doctor").stdout, llem("doctor", "--all").stdout
    assert "nothing to check" not in short
    assert f"{len(idle)} checks look at a study's own settings" in short
    assert [f"  {check}: nothing to check without a study" in long for check in idle] == [True] * len(idle)
    assert "--all" not in long
    for finding in told:
        assert (f"  {finding['check']}: " in short) is (finding["check"] not in idle)


def test_without_a_backend_it_says_what_to_install(llem: Any, without_backends: dict[str, str]) -> None:
    done = llem("doctor", env=without_backends)
    assert done.returncode == 3
    assert done.stdout.splitlines()[-1] == "Next: pip install llem-pytorch"


def test_a_machine_with_a_gpu_is_not_told_of_the_build_for_none(
    llem: Any, without_backends: Mapping[str, str], simulated_gpus: Callable[[str], Mapping[str, str]]
) -> None:
    card = "gpu GPU-aaaaaaaa-0000-0000-0000-000000000001 NVIDIA H100 80GB HBM3\npower constant 250\ncounter 0.02 0 1\n"
    seeing = {**simulated_gpus(card), "PYTHONPATH": without_backends["PYTHONPATH"]}
    assert "PIP_EXTRA_INDEX_URL" in json.loads(llem("doctor", "--json", env=without_backends).stdout)["next"]["state"]
    assert "PIP_EXTRA_INDEX_URL" not in json.loads(llem("doctor", "--json", env=seeing).stdout)["next"]["state"]


def test_doctor_goes_through_every_check_and_says_what_to_do(llem: Any) -> None:
    done = llem("doctor")
    document = json.loads(llem("doctor", "--json").stdout)
    assert done.returncode == (3 if document["errors"] else 0)
    found = {finding["check"] for finding in document["findings"]}
    assert {"meters", "output", "models", "datasets", "requirements", "governor"} <= found
    assert "rapl" in done.stdout
    assert "nvml" in done.stdout
    for finding in document["findings"]:
        assert finding["level"] == "ok" or finding["remedy"], finding


def test_doctor_writes_nothing(llem: Any, tmp_path: Path) -> None:
    llem("doctor")
    assert list(tmp_path.iterdir()) == []
