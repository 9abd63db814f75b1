"""Workers of every data-parallel replica are asked for their devices and their memory, and not those of the first one alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from llem.specs.backend import Request
from llem_vllm.caveats import replica_caveats
from llem_vllm.replicas import Workers
from llem_vllm.worker_extension import WorkerExtension


class Worker(WorkerExtension):
    """A worker whose device is its process's own."""

    def llem_device(self) -> str:
        return f"GPU-{os.getpid()}"

    def llem_memory(self, reset_peak: bool) -> list[float] | None:
        return [1.0, 3.0 if reset_peak else 2.0]


def called(method: str, arguments: Sequence[Any]) -> Any:
    return getattr(Worker(), method)(*arguments)


def asking(processes: int) -> Callable[..., list[Any]]:
    """Calls a worker in each of so many processes, and gives the answer of the first, as vLLM does for its replicas."""

    def ask(method: str, *arguments: Any) -> list[Any]:
        found = []
        for _ in range(processes):
            with ProcessPoolExecutor(1, mp_context=get_context("fork")) as one:
                found.append(one.submit(called, method, arguments).result())
        return found[:1]

    return ask


@pytest.mark.process
def test_the_answers_of_all_replicas_are_heard() -> None:
    workers = Workers(asking(3), replicas=3)
    assert len(set(workers.ask("llem_device"))) == 3
    assert workers.ask("llem_memory", True) == [[1.0, 3.0]] * 3
    assert workers.unheard == 0
    assert replica_caveats(workers.unheard) == []


@pytest.mark.process
def test_replicas_that_are_not_heard_are_counted_and_told() -> None:
    workers = Workers(asking(1), replicas=4)
    assert len(workers.ask("llem_device")) == 1
    assert workers.unheard == 3
    (caveat,) = replica_caveats(workers.unheard)
    assert caveat.code == "replicas_unheard"
    assert caveat.message.startswith("3 of vLLM's workers did not say")


def test_a_single_replica_is_asked_as_ever() -> None:
    asked: list[tuple[Any, ...]] = []

    def ask(*words: Any) -> list[Any]:
        asked.append(words)
        return ["cpu"]

    assert Workers(ask, replicas=1).ask("llem_memory", False) == ["cpu"]
    assert asked == [("llem_memory", False)]


@pytest.mark.vllm
@pytest.mark.timeout(900)
@pytest.mark.parametrize("frontend", ["engine", "http"])
def test_two_replicas_of_vllm_are_heard_both(load: Callable[..., Any], model_folder: Path, frontend: str) -> None:
    options = {"frontend": frontend, "data_parallel_size": 2, "max_model_len": 256}
    session = load(str(model_folder), options)
    engine = session.engine._engine
    assert len(engine._ask("llem_device")) == 1, "all that vLLM itself gives back"
    assert engine._workers.ask("llem_device") == ["cpu", "cpu"]
    assert session.report.devices == ["cpu"]
    assert session.report.effective["data_parallel_size"] == 2
    answers = session.answer([Request(id=one, prompt="hello", output_tokens=4) for one in range(4)])
    assert len(answers) == 4
    assert not {"replicas_unheard", "setting_ignored"} & {caveat.code for caveat in session.engine.caveats()}
    session.engine.close()
