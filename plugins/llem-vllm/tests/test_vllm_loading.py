"""Start and end of a vLLM: sources of models, refusals, drafts, and that nothing is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from llem.errors import ConfigError, ModelError
from llem.specs.backend import Request
from llem_plugin_kit.processes import is_alive

pytestmark = pytest.mark.vllm


def children() -> set[int]:
    return {
        process.pid
        for process in psutil.Process().children(recursive=True)
        if "resource_tracker" not in " ".join(process.cmdline())
    }


def test_closing_leaves_no_process(model_folder: Path) -> None:
    from vllm_lab import start

    before = children()
    session = start(str(model_folder), {"max_model_len": 128})
    started = children() - before
    assert started, "vLLM runs its engine in a process of its own"
    session.engine.close()
    assert not [pid for pid in started if is_alive(pid)]


def test_closing_ends_a_worker_whose_parent_was_killed(model_folder: Path) -> None:
    from vllm_lab import start

    before = children()
    session = start(str(model_folder), {"max_model_len": 128})
    (core,) = {process.pid for process in psutil.Process().children()} & (children() - before)
    (worker,) = psutil.Process(core).children(recursive=True)
    # A worker that is stopped does not see that the process above it was killed.
    worker.suspend()
    psutil.Process(core).kill()
    session.engine.close()
    assert not is_alive(worker.pid)


def test_a_killed_engine_is_an_error_and_not_a_wait(model_folder: Path) -> None:
    from vllm_lab import start

    before = children()
    session = start(str(model_folder), {"max_model_len": 128})
    for pid in children() - before:
        psutil.Process(pid).kill()
    begun = time.monotonic()
    with pytest.raises(Exception, match=r"(?i)engine"):
        session.answer([Request(id=0, prompt="hello", output_tokens=50)])
    assert time.monotonic() - begun < 60
    session.engine.close()
    assert not children() - before


def test_drafting_by_ngram_changes_no_token(load: Callable[..., Any], model_folder: Path) -> None:
    from vllm_lab import PROMPTS

    asked = [Request(id=i, prompt=p, output_tokens=24) for i, p in enumerate(PROMPTS[:4])]
    drafting = load(
        str(model_folder),
        {
            "max_model_len": 256,
            "speculative_config": {
                "method": "ngram",
                "num_speculative_tokens": 3,
                "prompt_lookup_max": 2,
                "prompt_lookup_min": 1,
            },
        },
    )
    found = drafting.answer(asked)
    counts = drafting.engine.metrics()
    drafting.engine.close()
    plain = load(str(model_folder), {"max_model_len": 256})
    expected = plain.answer(asked)
    assert {i: found[i].output_token_ids for i in found} == {i: expected[i].output_token_ids for i in expected}
    assert counts["drafted_tokens"] > 0
    assert drafting.report.effective["speculative_method"] == "ngram"


def test_an_option_that_vllm_refuses_is_one_paragraph(model_folder: Path) -> None:
    from vllm_lab import start

    with pytest.raises(ModelError) as caught:
        start(str(model_folder), {"max_model_len": 100_000})
    assert "vLLM cannot load it" in str(caught.value)
    assert "max_model_len" in str(caught.value)
    assert "\n" not in caught.value.what


def test_stop_words_and_a_fixed_length_contradict_each_other(model_folder: Path) -> None:
    from vllm_lab import start

    with pytest.raises(ConfigError, match=r"`vllm.sampling.stop` ends answers early"):
        start(str(model_folder), {"sampling": {"stop": ["."]}})
