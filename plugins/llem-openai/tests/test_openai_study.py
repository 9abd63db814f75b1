"""A whole experiment on a server: what its result says, of a server here and of one elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from llem.specs.check import PreflightContext
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_openai.config import OpenaiConfig
from llem_openai.preflight import check_server

sys.path.insert(0, str(Path(__file__).parent))
from openai_server import KEY, VOCABULARY, Behaviour, serving

TESTMETER = Path(__file__).parents[3] / "tests" / "testmeter"


def llem_run(address: str, output: Path, **settings: object) -> tuple[dict[str, Any], str]:
    """One short experiment by `llem run`: its result, and all that was written and said."""
    values: dict[str, object] = {
        "openai.base_url": address,
        "dataset.n": 4,
        "dataset.output_tokens": 8,
        "measurement.min_window_s": 0.2,
        "measurement.settle_s": 0,
        "measurement.samplers": '["testmeter"]',
        "warmup.enabled": "false",
        "baseline.enabled": "false",
        **{key.replace("__", "."): value for key, value in settings.items()},
    }
    path = os.pathsep.join([str(TESTMETER), os.environ["PYTHONPATH"]])
    command = [sys.executable, "-m", "llem", "run", "--model", "small", "--backend", "openai", "--no-gaps"]
    command += ["--output", str(output), *(w for k, v in values.items() for w in ("--set", f"{k}={v}"))]
    environment = {**os.environ, "PYTHONPATH": path, "OPENAI_API_KEY": KEY}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = list(output.glob("*/experiments/*/result.json"))
    assert len(found) == 1, done.stdout + done.stderr
    written = [file.read_bytes().decode(errors="replace") for file in output.rglob("*") if file.is_file()]
    result: dict[str, Any] = json.loads(found[0].read_text())
    assert result["status"] == "done", result["failure"]
    return result, done.stdout + done.stderr + "".join(written)


@pytest.mark.process
@pytest.mark.parametrize("scenario", ["offline", "single_stream"])
def test_a_server_on_this_machine_has_energy_speed_and_latency(scenario: str, tmp_path: Path) -> None:
    with serving(Behaviour(key=KEY)) as address:
        result, told = llem_run(address, tmp_path, measurement__scenario=scenario)
    tokens = result["tokens"]
    assert tokens["output"] == 8 * tokens["requests"]
    assert result["latency"]["ttft_s"]["n"] == tokens["requests"]
    assert result["latency"]["itl_s"]["n"] == 7 * tokens["requests"]
    assert result["energy"]["headline"]["mean_w"] == pytest.approx(50, rel=0.01)
    assert result["memory"]["peak_memory_mb"] is None
    assert "this machine, by the address 127.0.0.1" in result["model"]["effective"]["server_runs_on"]
    assert KEY not in told


@pytest.mark.process
@pytest.mark.parametrize("scenario", ["offline", "single_stream"])
def test_pieces_give_the_first_token_and_the_end_and_nothing_between(scenario: str, tmp_path: Path) -> None:
    with serving(Behaviour(counts=False, a_piece=3)) as address:
        result, _ = llem_run(address, tmp_path, measurement__scenario=scenario)
    latency, requests = result["latency"], result["tokens"]["requests"]
    assert (latency["ttft_s"]["n"], latency["e2e_s"]["n"]) == (requests, requests)
    assert (latency["itl_s"], latency["tpot_s"]) == (None, None)


@pytest.mark.process
def test_of_a_server_elsewhere_no_energy_is_told_and_the_result_says_so(tmp_path: Path) -> None:
    with serving(Behaviour()) as address:
        result, told = llem_run(address, tmp_path, openai__same_machine="false")
    assert result["energy"]["headline"] is None
    assert result["energy"]["totals"] == []
    (warning,) = [w for w in result["warnings"] if w["code"] == "work_elsewhere"]
    assert "127.0.0.1" in warning["message"]
    assert result["throughput"]["tokens_per_s"] > 0
    assert "another machine" in told


@pytest.mark.process
def test_synthetic_prompts_are_token_ids_and_need_the_vocabulary(tmp_path: Path) -> None:
    behaviour = Behaviour()
    with serving(behaviour) as address:
        settings: dict[str, object] = {"dataset__name": "synthetic", "dataset__input_tokens": 5}
        result, _ = llem_run(address, tmp_path, openai__vocab_size=VOCABULARY, **settings)
    assert result["tokens"]["input"] == 5 * result["tokens"]["requests"]
    assert all(0 <= id_ < VOCABULARY for id_ in behaviour.asked[-1]["prompt"])


@pytest.mark.parametrize(
    "section",
    [
        {"base_url": "127.0.0.1:8000"},
        {"base_url": "https://me:secret@api.example/v1"},
        {"base_url": "https://api.example/v1?key=secret"},
        {"extra": {"temperature": 1}},
        {"extra": {"api_key": "secret"}},
        {"concurrency": 0},
    ],
)
def test_a_section_that_cannot_be_or_holds_a_secret_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OpenaiConfig.model_validate(section)


def test_preflight_tells_what_is_served_and_what_a_distant_server_lacks(tmp_path: Path) -> None:
    from llem.config.compose import Composer
    from llem.plugins import default_registry

    def found(model: str, **options: object) -> list[tuple[str, str]]:
        document = {"model": model, "backend": "openai", "openai": options}
        config = Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose(document)
        context = PreflightContext(
            registry=default_registry(), experiments=[config], runners={"openai": "local"}, base_dir=tmp_path
        )
        return [(finding.level, f"{finding.message} {finding.remedy}") for finding in check_server(context)]

    with serving(Behaviour()) as address:
        assert [level for level, _ in found("small", base_url=address)] == ["ok"]
        ((level, text),) = found("big", base_url=address)
        assert level == "error"
        assert "openai.served_name: small" in text
        ((level, text),) = found("small", base_url=address, same_machine=False)
        assert level == "warning"
        assert "no energy" in text
        ((level, text),) = found("small", base_url=address, same_machine=False, devices=["GPU-1"])
        assert level == "error"
