"""Whole measurements of recorded servers, one study for each scenario: figures are right, or null, and never an invented 0."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from replay import EVENT_S, STREAMS, Behaviour, replaying

pytestmark = pytest.mark.process

TESTMETER = Path(__file__).parents[3] / "tests" / "testmeter"
COMPLETIONS = {
    *("vllm", "tgi-eos", "zero-until-the-end", "increments", "line-separators", "carriage-returns", "no-blank-lines"),
}
STOPS = {"tgi-eos": 7, "tool-calls": 7, "refusal": 5}
"""Recordings that end by their stop token, with the tokens they have."""

PIECES = {"azure", "tgi-eos"}
"""Recordings that have fewer pieces than tokens: no time of a single token is known."""

STRICT = "strict"
REFUSED = {"seed": (422, {"detail": "extra field not permitted: seed"})}


SCENARIOS = ("offline", "single_stream")


def experiment(scenario: str, base: str, name: str, **openai: Any) -> dict[str, Any]:
    return {
        "backend": "openai",
        "measurement": {"scenario": scenario},
        "openai": {"base_url": f"{base}/{name}/v1", **openai},
        "dataset": {"chat_template": name not in COMPLETIONS},
        "decoding": {"length": "natural" if name in STOPS else "fixed"},
    }


def measured(folder: Path) -> Mapping[str, Mapping[str, dict[str, Any]]]:
    """The result of each recording, by scenario and name: four prompts of eight tokens, in one study, whose start takes seconds."""
    strict = Behaviour(refuse=REFUSED)
    with replaying() as base, replaying(strict) as strict_base:
        study = {
            "name": "replays",
            "model": "small",
            "dataset": {"n": 4, "output_tokens": 8},
            "measurement": {"min_window_s": 0.1, "settle_s": 0, "samplers": ["testmeter"]},
            "warmup": {"enabled": False},
            "baseline": {"enabled": False},
            "experiments": [
                *(experiment(scenario, base, name) for scenario in SCENARIOS for name in STREAMS),
                *(experiment(scenario, strict_base, "tgi", request_fields={"seed": None}) for scenario in SCENARIOS),
            ],
            "execution": {"cycles": 1},
        }
        file = folder / "study.yaml"
        file.write_text(yaml.safe_dump(study))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTMETER), os.environ["PYTHONPATH"]])}
        command = [sys.executable, "-m", "llem", "run", str(file), "--no-gaps", "--output", str(folder / "results")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found: dict[str, dict[str, dict[str, Any]]] = {scenario: {} for scenario in SCENARIOS}
    for path in (folder / "results").glob("*/experiments/*/result.json"):
        result = json.loads(path.read_text())
        address = result["config"]["openai"]["base_url"]
        scenario = result["config"]["measurement"].get("scenario", "offline")
        found[scenario][STRICT if address.startswith(strict_base) else address.split("/")[-2]] = result
    assert all(set(one) == {*STREAMS, STRICT} for one in found.values()), done.stdout[-3000:] + done.stderr[-3000:]
    return found


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, dict[str, Any]]]:
    return measured(tmp_path_factory.mktemp("replays"))


@pytest.fixture(params=SCENARIOS)
def results(
    request: pytest.FixtureRequest, study: Mapping[str, Mapping[str, dict[str, Any]]]
) -> Mapping[str, dict[str, Any]]:
    return study[request.param]


@pytest.mark.timeout(600)
def test_recordings_of_all_servers_are_measured_whole(results: Mapping[str, dict[str, Any]]) -> None:
    assert {name: result["failure"] for name, result in results.items() if result["status"] != "done"} == {}
    for name, result in results.items():
        tokens = result["tokens"]
        assert tokens["output"] == STOPS.get(name, 8) * tokens["requests"], name
        assert result["latency"]["e2e_s"]["n"] == tokens["requests"], name


@pytest.mark.timeout(600)
def test_gaps_are_those_of_the_pieces_or_null_and_never_0(results: Mapping[str, dict[str, Any]]) -> None:
    seen = 0
    for name, result in results.items():
        latency, told = result["latency"], {warning["code"] for warning in result["warnings"]}
        if name in PIECES:
            assert (latency["itl_s"], latency["tpot_s"]) == (None, None), name
        elif latency["tpot_s"] is None or latency["itl_s"] is None:
            # A machine that is too busy to read reads whole answers at once, and says so.
            assert told & {"token_times_unseen", "token_times_grouped"}, name
        else:
            # The server waits so long before each piece, of two tokens in `increments`; a busy machine adds to it.
            assert min(latency["tpot_s"]["mean"], latency["itl_s"]["mean"]) > EVENT_S / 2, name
            seen += 1
    assert seen > 0


@pytest.mark.timeout(600)
def test_what_qualifies_the_work_is_a_warning_of_the_result(results: Mapping[str, dict[str, Any]]) -> None:
    told = {name: {warning["code"] for warning in result["warnings"]} for name, result in results.items()}
    assert {name for name, codes in told.items() if "prompt_cached" in codes} == {"litellm", "llamacpp-timings"}
    assert not any(codes & {"server_counts_differ", "unknown_finish_reason", "answers_cut"} for codes in told.values())
