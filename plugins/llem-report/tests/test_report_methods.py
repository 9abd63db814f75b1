"""The methods paragraph tells all that a paper has to say, and nothing that the results do not."""

from __future__ import annotations

from typing import Any

import pytest

from llem_report.methods import method_sentences

ROW: dict[str, Any] = {
    "status": "done",
    "config_hash": "a",
    "work": "fixed_length",
    "model.source": "org/model",
    "model.revision": "abc123",
    "dataset.provenance": "built in",
    "dataset.sha256": "d1935",
    "dataset.n": 32,
    "config.dataset.output_tokens": 64,
    "config.warmup.batches": 3,
    "config.warmup.cv_threshold": 0.05,
    "config.measurement.min_window_s": 60,
    "config.backend": "pytorch",
    "warmup.enabled": True,
    "warmup.converged": True,
    "warmup.prompts": 48,
    "baseline.source": "measured",
    "baseline.duration_s": 30.0,
    "energy.window_s": 61.0,
    "energy.headline.scope": "gpu",
    "energy.headline.method": "counter",
    "warnings": [],
}
MANIFEST = {"order": "shuffled", "seed": 42}
CARD = {
    "backend": "pytorch",
    "runs": 3,
    "gpu": {"models": ["H100", "H100"], "driver": "580.1"},
    "cpu": {"model": "EPYC", "logical_cpus": 64, "governor": "performance"},
    "meters": {"nvml": {"gpus": [{"power_limit_w": 400.0}, {"power_limit_w": 400.0}]}},
}


def told(rows: list[dict[str, Any]], manifest: dict[str, Any] = MANIFEST, environments: Any = (CARD,)) -> str:
    return " ".join(method_sentences(rows, manifest, environments))


@pytest.mark.parametrize(
    "part",
    [
        "1 configuration ran in 3 cycles each",
        "in a new random order in each cycle (seed 42)",
        "org/model (revision abc123)",
        "built in (SHA-256 d1935)",
        "answers 32 requests, exactly 64 output tokens each",
        "2 × H100; driver 580.1; power limit 400 W; CPU EPYC, 64 logical CPUs; governor performance",
        "last 3 runs vary by less than 5 % and show no trend; 3 of 3 runs got there",
        "Idle power was taken before loading, over 30 s",
        "was 61 s long (asked for: at least 60 s)",
        "Energy is that of GPUs, by the hardware's energy counters",
        "corrected after Holm",
    ],
)
def test_every_part_of_the_method_is_told(part):
    assert part in told([ROW, ROW, ROW])


def test_what_was_left_out_is_told_with_its_reason():
    failed = {"status": "failed", "failure.type": "OutOfMemory"}
    voided = {**ROW, "warnings": ["energy_unmeasured"], "energy.headline.method": None}
    text = told([ROW, voided, failed])
    assert "Left out: 1 run without a result (1 OutOfMemory)." in text
    assert "`energy_unmeasured` in 1 run" in text
    assert "1 run has no energy" in text


def test_natural_length_warmup_that_failed_and_cached_idle_power_are_told_apart():
    text = told([{**ROW, "work": "natural_length", "warmup.converged": False, "baseline.source": "cached"}])
    assert "until their stop token, at most 64 output tokens each" in text
    assert "0 of 1 run got there" in text
    assert "1 of them from an earlier run on the same boot" in text
    assert "neither interval nor test" in text


def test_facts_that_are_missing_make_no_sentence():
    text = told([{"status": "done", "config_hash": "a"}], {}, ())
    assert "order" not in text
    assert "Devices" not in text
    assert "Warm-up" not in text
    assert "None" not in text


def test_no_finished_run_has_no_method():
    assert told([{"status": "failed"}]) == ""


def test_the_length_of_prompts_is_told_where_every_run_has_one():
    cut = {**ROW, "config.dataset.input_tokens": 64}
    assert "answers 32 requests, prompts of at most 64 tokens, exactly 64 output tokens each" in told([cut, cut, cut])
    assert "prompts of at most" not in told([cut, ROW, ROW])


@pytest.mark.parametrize(
    ("hashes", "says"), [("ab", "Every configuration ran once"), ("aab", "Some configurations ran once")]
)
def test_who_ran_once_is_told_as_it_is(hashes, says):
    assert says in told([{**ROW, "config_hash": one} for one in hashes])


def test_load_goes_on_after_the_window_while_answers_are_waited_for():
    """As the scenario does: the last requests of the window shall have it no easier than the first."""
    load = {"arrival": "poisson", "rate_rps": 4.0, "ramp_s": 10.0, "drain_s": 30.0}
    text = told([{**ROW, "scenario": "server", **{f"config.load.{key}": value for key, value in load.items()}}])
    assert "Load began at least 10 s before the window; after it answers were waited for as long as 30 s, while" in text
    assert "while requests went on arriving." in text
