"""The cards of a machine, simulated or none, decide on those that a container gets, and on its image."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

CARDS = [f"GPU-{digit * 8}-0000-0000-0000-000000000000" for digit in "123"]
NO_CARDS = "driver 580.65\n"
SCENARIO = "".join(f"gpu {uuid} NVIDIA H100\npower constant 100\n" for uuid in CARDS)

Gpus = Callable[[str], Mapping[str, str]]

GIVEN = """
import json, sys
from llem.config.compose import Composer
from llem.plugins import default_registry
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_containers.gpus import gpus_of
registry = default_registry()
study = {"model": "random:tiny-llama", **json.loads(sys.argv[1])}
print(json.dumps(gpus_of(Composer(registry[BACKENDS], registry[SCENARIOS]).compose(study), registry)))
"""

IMAGE = """
import json, sys
from llem.plugins import default_registry
from llem.specs.runner import RunnerContext
from llem_docker.runner import image_of
print(json.dumps(image_of(RunnerContext(registry=default_registry(), backend="any", **json.loads(sys.argv[1])))))
"""


def told(code: str, environment: Mapping[str, str], *words: str) -> Any:
    """The output of a program, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("study", "cards"),
    [
        ({"backend": "testbed"}, CARDS),
        ({"backend": "testbed", "testbed": {"gpus": 2}}, CARDS[:2]),
        ({"backend": "testbed", "testbed": {"gpus": 0}}, []),
        ({"backend": "pytorch"}, CARDS[:1]),
        ({"backend": "pytorch", "pytorch": {"device": "cpu"}}, []),
        ({"backend": "pytorch", "pytorch": {"device": "cuda:1"}}, CARDS),
        ({"backend": "pytorch", "pytorch": {"device": "cuda", "tensor_parallel": {"size": 2}}}, CARDS[:2]),
        ({"backend": "vllm", "vllm": {"tensor_parallel_size": 2}}, CARDS[:2]),
    ],
)
def test_a_container_gets_as_many_cards_as_its_backend_says(
    simulated_gpus: Gpus, study: dict[str, Any], cards: list[str]
) -> None:
    environment = {k: v for k, v in simulated_gpus(SCENARIO).items() if k != "CUDA_VISIBLE_DEVICES"}
    assert told(GIVEN, environment, json.dumps(study)) == cards


def test_a_container_gets_none_of_the_cards_that_cuda_does_not_show(simulated_gpus: Gpus) -> None:
    environment = {**simulated_gpus(SCENARIO), "CUDA_VISIBLE_DEVICES": "2,0"}
    assert told(GIVEN, environment, '{"backend": "testbed"}') == [CARDS[2], CARDS[0]]


@pytest.mark.parametrize(
    ("known", "with_cards", "without"),
    [
        ({"image": "all"}, "all", "all"),
        ({"image": "cuda", "cpu_image": "cpu"}, "cuda", "cpu"),
        ({"image": "cuda", "cpu_image": "cpu", "argument": "mine"}, "mine", "mine"),
    ],
)
def test_a_backends_image_fits_the_machine_unless_one_is_named(
    simulated_gpus: Gpus, known: dict[str, str], with_cards: str, without: str
) -> None:
    assert told(IMAGE, simulated_gpus(SCENARIO), json.dumps(known)) == with_cards
    assert told(IMAGE, simulated_gpus(NO_CARDS), json.dumps(known)) == without


@pytest.mark.parametrize(
    ("cards", "words", "kind"),
    [
        (NO_CARDS, [], "-cpu"),
        (SCENARIO, [], "-cuda13"),
        (SCENARIO, ["--target", "cpu"], "-cpu"),
        (NO_CARDS, ["--cuda", "13.0"], "-cuda13"),
    ],
)
def test_an_image_is_built_for_this_machine_unless_another_kind_is_named(
    simulated_gpus: Gpus, tmp_path: Path, cards: str, words: list[str], kind: str
) -> None:
    client = tmp_path / "docker"
    client.write_text('#!/bin/sh\ncase "$1 $2" in "buildx version") echo v0.30;; *) exit 7;; esac\n')
    client.chmod(0o755)
    command = [sys.executable, "-m", "llem", "images", "build", "pytorch", "--client", str(client), *words]
    done = subprocess.run(command, env=simulated_gpus(cards), capture_output=True, text=True, check=False)
    named = next(line for line in done.stderr.splitlines() if line.startswith("building "))
    assert named.endswith(kind)
    assert "was not built: the client ended with exit code 7" in done.stderr
