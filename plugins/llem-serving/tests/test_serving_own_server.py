"""A load whose engine has a server of its own that ends: the load ends with it, in whatever phase, and does not wait out its window."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
from driven_load import drive_of, load_of
from virtual_loop import S, run_virtually
from virtual_time import KnownEngine

from llem.plugin_api import LlemError, Request
from llem_serving.course import Course

LOAD = {"rate_rps": 2, "ramp_s": 50.0, "steady_s": 100.0, "duration_s": 300.0, "drain_s": 60.0}
MANY = [Request(id=one, output_tokens=20, prompt="hi") for one in range(50)]


@dataclass
class MortalEngine(KnownEngine):
    """Its server ends at an instant. Requests fail from then on, as over a connection that is refused."""

    dies_ns: int = 0

    def check_server(self) -> None:
        if time.monotonic_ns() >= self.dies_ns:
            raise LlemError("the server has ended, with exit code 3.")


def ended_after_s(dies_s: float, answer_s: float = 1.0, **load: object) -> float:
    """Seconds from the start of the load to its end, whose server ends after `dies_s`."""

    async def drive() -> float:
        begun_ns = time.monotonic_ns()
        engine = MortalEngine(answer_s=lambda _: answer_s, dies_ns=begun_ns + round(dies_s * S))
        one = drive_of(engine, MANY, load_of(**{**LOAD, **load}))  # type: ignore[arg-type]
        with pytest.raises(LlemError, match="with exit code 3"):
            await one.run()
        return (time.monotonic_ns() - begun_ns) / S

    return run_virtually(drive)


@pytest.mark.parametrize(
    ("phase", "dies_s", "load"),
    [
        ("ramp", 20.0, {}),
        ("wait for a steady state", 80.0, {}),
        ("window", 70.0, {"steady_s": 0.0}),
        ("window of users", 70.0, {"steady_s": 0.0, "rate_rps": None, "concurrency": 3}),
    ],
)
def test_the_load_ends_within_two_seconds_of_its_server(phase: str, dies_s: float, load: dict[str, object]) -> None:
    assert dies_s <= ended_after_s(dies_s, **load) <= dies_s + 2, phase


def test_answers_are_not_waited_for_in_the_drain_once_the_server_has_ended() -> None:
    window = {"ramp_s": 0.0, "steady_s": 0.0, "duration_s": 10.0}
    assert 15 <= ended_after_s(15.0, answer_s=40.0, **window) <= 17


def test_a_server_that_runs_ends_nothing() -> None:
    async def drive() -> Course:
        engine = MortalEngine(dies_ns=2**62)
        return await drive_of(engine, MANY, load_of(rate_rps=2, duration_s=20.0)).run()  # type: ignore[arg-type]

    assert run_virtually(drive).exchanges
