"""What the cards of a machine decide, on simulated ones and on none: which of them a container gets."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest

CARDS = [f"GPU-{digit * 8}-0000-0000-0000-000000000000" for digit in "123"]
SCENARIO = "".join(f"gpu {uuid} NVIDIA H100\npower constant 100\n" for uuid in CARDS)

Gpus = Callable[[str], Mapping[str, str]]

GIVEN = """
import json, sys
from llem.config.compose import Composer
from llem.plugins import default_registry
from llem_docker.gpus import gpus_of
study = {"model": "random:tiny-llama", **json.loads(sys.argv[1])}
print(json.dumps(gpus_of(Composer(default_registry().backends).compose(study))))
"""


def told(code: str, environment: Mapping[str, str], *words: str) -> Any:
    """What a program prints, as JSON."""
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
