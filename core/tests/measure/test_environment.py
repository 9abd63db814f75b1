"""The environment in a result: complete, plain, and without a secret."""

from __future__ import annotations

import importlib.metadata
import json

import pytest

from llem.measure.environment import capture, installed, plugin_distributions, telling_variables

TOKEN = "hf_" + "A1b2C3d4" * 4


def test_it_is_plain_json_with_every_part() -> None:
    found = json.loads(json.dumps(capture({"git_commit": "abc"}, {"nvml": {"driver": "550.1"}}), allow_nan=False))
    where = {"node", "exclusive", "machine", "os", "cpu", "memory", "gpu"}
    assert set(found) == {*where, "python", "packages", "variables", "meters", "start", "study"}
    assert found["study"] == {"git_commit": "abc"}
    assert found["meters"] == {"nvml": {"driver": "550.1"}}
    assert found["packages"]["llem"] == importlib.metadata.version("llem")


@pytest.mark.parametrize(
    "variables",
    [
        {"HF_TOKEN": TOKEN},
        {"LLEM_WEBHOOK_API_KEY": "a-secret-of-mine"},
        {"CUDA_SECRET": "a-secret-of-mine"},
        {"HF_ENDPOINT": "https://me:a-secret-of-mine@hub.example"},
        {"HF_HOME": f"/cache/{TOKEN}"},
        {"NCCL_PASS": "short"},
    ],
)
def test_no_secret_gets_in(variables: dict[str, str]) -> None:
    text = json.dumps(capture({}, {}, environ=variables))
    for secret in (TOKEN, "a-secret-of-mine", "short"):
        assert secret not in text


def test_a_secret_is_hidden_wherever_it_came_from() -> None:
    environ = {"MY_TOKEN": "swordfish-and-more"}
    provenance = {"remote": "https://user:pw12345@git.example/x", "note": "swordfish-and-more"}
    text = json.dumps(capture(provenance, {"meter": {"api_key": "k1k2k3k4k5"}}, environ=environ))
    for secret in ("pw12345", "swordfish-and-more", "k1k2k3k4k5"):
        assert secret not in text
    assert "git.example" in text


def test_variables_that_change_what_runs_are_kept_and_others_are_not() -> None:
    environ = {
        "CUDA_VISIBLE_DEVICES": "1",
        "OMP_NUM_THREADS": "4",
        "TORCH_LOGS": "+dynamo",
        "LLEM_MEASUREMENT_SAMPLE_HZ": "20",
        "LLEM_JOB_ID": "differs-every-time",
        "HOME": "/home/somebody",
        "PATH": "/bin",
        "TORCHLIGHT": "on",
    }
    assert telling_variables(environ, ["llem", "torch"]) == {
        "CUDA_VISIBLE_DEVICES": "1",
        "OMP_NUM_THREADS": "4",
        "TORCH_LOGS": "+dynamo",
        "LLEM_MEASUREMENT_SAMPLE_HZ": "20",
    }


def test_versions_reach_down_to_what_is_required() -> None:
    found = installed(["llem"])
    assert found["llem"] == importlib.metadata.version("llem")
    assert found["pydantic-core"] == importlib.metadata.version("pydantic_core")  # required by pydantic
    assert "pytest" not in found


def test_what_is_not_installed_is_not_listed() -> None:
    assert installed(["no-such-distribution-here"]) == {}


def test_every_plugin_is_listed() -> None:
    names = plugin_distributions()
    assert names[0] == "llem"
    expected = {e.dist.name for e in importlib.metadata.entry_points(group="llem") if e.dist}
    assert expected <= set(names)
