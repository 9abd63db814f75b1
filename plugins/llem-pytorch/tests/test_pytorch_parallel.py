"""Tensor parallelism in two processes on the CPU: the same answers, no process left."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pytorch_lab import SERVED, Session
from pytorch_prompts import PROMPTS

pytestmark = pytest.mark.engine

PROGRAM = """
import asyncio, json, sys, time
from llem.config.compose import Composer
from llem.plugins import default_registry
from llem.specs.backend import LoadContext, Request
from llem_pytorch.engine import PyTorchEngine
from llem.specs.kinds import BACKENDS, SCENARIOS

source, tensor_parallel, prompts, served = json.load(sys.stdin)
options = {"device": "cpu", "dtype": "float32", "batch_size": 2, "num_threads": 1, "tensor_parallel": tensor_parallel}
document = {"model": source, "backend": "pytorch", "pytorch": options, **served}


async def record(request):
    return [event async for event in engine.stream(request)][-1].record


async def at_once(requests):
    given_up = engine.stream(Request(id=9, prompt=prompts[0], output_tokens=60))
    await anext(given_up)
    await given_up.aclose()
    memory = asyncio.get_running_loop().run_in_executor(None, engine.memory)
    records = await asyncio.gather(*map(record, requests))
    await memory
    return records


engine = PyTorchEngine()
try:
    report = engine.load(LoadContext(config=Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose(document), base_dir=".",
                                     progress=lambda text: None))
    requests = [Request(id=i, prompt=p, output_tokens=8) for i, p in enumerate(prompts)]
    if served:
        records = asyncio.run(at_once(requests))
    else:
        records = [r for batch in engine.batches(requests) for r in engine.generate(batch)]
    engine.synchronize()
    memory = engine.memory()
    children = [child.pid for child in engine._ranks._children]
    local = engine._loaded.model.model.layers[0].mlp.up_proj.weight
    shape = list(getattr(local, "to_local", lambda: local)().shape)
finally:
    engine.close()
print("ANSWER", json.dumps({"ids": [list(r.output_token_ids) for r in sorted(records, key=lambda r: r.id)],
      "tokens": [r.input_tokens for r in sorted(records, key=lambda r: r.id)], "devices": report.devices,
      "effective": report.effective, "children": children, "memory": memory.allocated_mb, "shape": shape,
      "parameters": report.parameters}))
"""


def in_two_processes(source: str, served: Mapping[str, Any] | None = None, **tensor_parallel: Any) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([source, {"size": 2, **tensor_parallel}, PROMPTS[:3], served or {}]),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    line = next(line for line in done.stdout.splitlines() if line.startswith("ANSWER"))
    found: dict[str, Any] = json.loads(line.removeprefix("ANSWER"))
    return found


def test_two_ranks_answer_like_one_and_are_gone_afterwards(load: Callable[..., Session], model_folder: Path) -> None:
    session = load(str(model_folder))
    found = in_two_processes(str(model_folder))
    assert [tuple(ids) for ids in found["ids"]] == [session.ids(prompt) for prompt in PROMPTS[:3]]
    assert found["devices"] == ["cpu"]
    assert found["effective"]["tensor_parallel"] == 2
    assert found["parameters"] == session.report.parameters
    assert found["shape"] == [88, 64], "each rank holds half of the feed-forward layer"
    assert found["memory"] is None
    for pid in found["children"]:
        assert not Path(f"/proc/{pid}").exists()


def test_two_ranks_serve_a_load_and_tell_their_memory_between_batches(
    load: Callable[..., Session], model_folder: Path
) -> None:
    session = load(str(model_folder))
    found = in_two_processes(str(model_folder), SERVED)
    assert [tuple(ids) for ids in found["ids"]] == [session.ids(prompt) for prompt in PROMPTS[:3]]
    assert found["effective"]["serving"] == "queue"
    for pid in found["children"]:
        assert not Path(f"/proc/{pid}").exists()


def test_a_plan_of_ones_own_is_laid_over_the_models(model_folder: Path) -> None:
    whole = {f"model.layers.*.mlp.{name}_proj": "replicated_with_grad_allreduce" for name in ("up", "gate", "down")}
    found = in_two_processes(str(model_folder), plan=whole)
    assert found["shape"] == [176, 64], "each rank holds the whole feed-forward layer"


def test_a_missing_model_ends_every_rank(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([str(tmp_path / "absent.gguf"), {"size": 2}, PROMPTS[:1], {}]),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode != 0
    assert "there is no such file" in done.stderr
