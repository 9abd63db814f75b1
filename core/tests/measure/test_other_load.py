"""CPU use of others: the arithmetic on made-up kernels, and real processes that burn a known time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.measure.cpu_time import Instant, Process, busiest, look, own_ticks
from llem.measure.environment import telling_variables
from llem.measure.other_load import (
    DOUBTFUL_FROM,
    Share,
    is_of_the_machine,
    load_warnings,
    mark_machine_wide,
    report,
    share_between,
)
from llem.results.models import DeviceEnergy, EnergyBreakdown, EnergyFigure
from llem.runners.environment import worker_environment

HZ = 100
SECOND = 1_000_000_000
Make = Callable[..., Any]


def process(pid: int, used: int = 0, waited: int = 0, *, parent: int = 1, name: str = "p", started: int = 0) -> Process:
    return Process(pid, name, parent, used, waited, started)


def keyed(*processes: Process) -> dict[tuple[int, int], Process]:
    return {one.key: one for one in processes}


def instant(
    seconds: float,
    busy: int,
    tree: Mapping[tuple[int, int], Process],
    *,
    cores: int = 4,
    counted: int | None = None,
    stolen: int = 0,
    **more: Any,
) -> Instant:
    return Instant(
        t_ns=round(seconds * SECOND),
        cores=cores,
        busy=busy,
        counted=round(seconds * cores * HZ) if counted is None else counted,
        stolen=stolen,
        tree=tree,
        hosts=more.get("hosts", {}),
        others=more.get("others", {}),
    )


def test_the_share_is_what_the_machine_used_less_the_experiment_over_time_and_cores() -> None:
    before = instant(0, 0, keyed(process(7, 100)))
    after = instant(10, 1500, keyed(process(7, 1100)))
    share = share_between(before, after, HZ)
    assert (share.others_s, share.own_s, share.cores) == (5.0, 10.0, 4)
    assert share.share == pytest.approx(5 / 40)
    assert share.resolution == pytest.approx(2 * (4 + 1) / HZ / 40)
    assert share.is_doubtful


@given(
    cores=st.integers(1, 256),
    seconds=st.floats(0.01, 600),
    own=st.floats(0, 1),
    others=st.floats(0, 1),
)
def test_it_is_always_between_none_and_all(cores: int, seconds: float, own: float, others: float) -> None:
    room = seconds * cores * HZ
    mine, theirs = int(own * room), int(others * (1 - own) * room)
    share = share_between(
        instant(0, 0, keyed(process(7)), cores=cores),
        instant(seconds, mine + theirs, keyed(process(7, mine)), cores=cores),
        HZ,
    )
    assert share.share is not None
    assert 0 <= share.share <= 1
    assert share.share == pytest.approx(min(1, theirs / room), abs=1e-6)
    assert share.others_s == pytest.approx(theirs / HZ)


@given(seconds=st.floats(0.02, 2), cores=st.integers(1, 128), processes=st.integers(1, 40))
def test_rounding_alone_never_marks_a_quiet_machine(seconds: float, cores: int, processes: int) -> None:
    rounding = cores + processes  # a tick at each of them, at most
    tree = keyed(*(process(100 + i) for i in range(processes)))
    share = share_between(instant(0, 0, tree, cores=cores), instant(seconds, rounding, tree, cores=cores), HZ)
    assert not share.is_doubtful


@given(share=st.floats(DOUBTFUL_FROM, 1))
def test_a_window_of_ten_seconds_is_marked_from_five_per_cent(share: float) -> None:
    assert Share(share=share, resolution=0.004).is_doubtful
    assert not Share(share=DOUBTFUL_FROM - 1e-6, resolution=0.004).is_doubtful


def test_a_share_is_marked_from_twice_of_what_rounding_can_make_of_it() -> None:
    assert Share(share=0.2, resolution=0.1).is_doubtful
    assert not Share(share=0.19, resolution=0.1).is_doubtful


def test_what_cannot_be_told_is_null_with_the_reason_and_never_nothing() -> None:
    quiet = keyed(process(7))
    for before, after, reason in (
        ("no proc", instant(1, 0, quiet), "no proc"),
        (instant(0, 0, quiet), "gone", "gone"),
        (instant(0, 0, quiet, counted=0), instant(10, 0, quiet, counted=0), "counted 0 CPU seconds of 40"),
        (instant(0, 0, quiet, cores=4), instant(10, 0, quiet, cores=3), "changed from 4 to 3"),
        (instant(0, 0, quiet), instant(10, 100, keyed(process(7, 2000))), "experiment's own are 20"),
        (instant(5, 0, quiet), instant(5, 0, quiet), "no time passed"),
    ):
        share = share_between(before, after, HZ)
        assert share.share is None
        assert reason in (share.reason or "")
        assert not share.is_doubtful
    kept = report(Share(reason="no proc"), None, Share(share=0.01))
    assert kept is not None
    assert (kept.window_share, kept.baseline_share, kept.resident_share, kept.reason) == (None, None, 0.01, "no proc")
    assert report(None, None, None) is None


def test_a_child_that_came_and_went_is_the_experiment_s_by_whoever_waited_for_it() -> None:
    before = instant(0, 0, keyed(process(7, 10, 5)))
    assert own_ticks(before, instant(1, 0, keyed(process(7, 20, 305)))) == 310


def test_a_child_that_was_there_and_is_waited_for_counts_only_from_the_first_instant() -> None:
    before = instant(0, 0, keyed(process(7, 0, 0), process(8, 400)))
    assert own_ticks(before, instant(1, 0, keyed(process(7, 0, 450)))) == 50


def test_a_child_that_nobody_waits_for_takes_nothing_away() -> None:
    before = instant(0, 0, keyed(process(7, 0), process(8, 400)))
    assert own_ticks(before, instant(1, 0, keyed(process(7, 30)))) == 30


def test_of_llem_itself_only_its_own_time_counts_and_no_earlier_experiment_s() -> None:
    tree = keyed(process(7))
    before = instant(0, 0, tree, hosts=keyed(process(3, 10, 1000)))
    assert own_ticks(before, instant(1, 0, tree, hosts=keyed(process(3, 12, 9000)))) == 2


def test_a_pid_that_is_used_again_is_another_process() -> None:
    before = instant(0, 0, {}, others=keyed(process(9, 5000, started=1, name="old")))
    after = instant(1, 0, {}, others=keyed(process(9, 20, started=90, name="new")))
    assert busiest(before, after) == {"new": 20}


def fake_proc(folder: Path, processes: Mapping[int, tuple[str, int, int, dict[str, str]]]) -> Path:
    """pid to name, parent, ticks, variables."""
    (folder / "stat").write_text(
        "cpu  50 10 40 800 100 3 4 5 50 0\ncpu0 1 1 1 1 1 1 1 1 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\n"
    )
    for pid, (name, parent, ticks, variables) in processes.items():
        (folder / str(pid)).mkdir()
        stat = f"{pid} ({name}) S {parent} " + "0 " * 9 + f"{ticks} 0 0 0 0 0 1 0 {pid} 0\n"
        (folder / str(pid) / "stat").write_text(stat)
        (folder / str(pid) / "environ").write_bytes(b"".join(f"{k}={v}\0".encode() for k, v in variables.items()))
    return folder


def test_worker_sampler_orphan_and_llem_are_the_experiment_and_a_neighbour_s_are_not(tmp_path: Path) -> None:
    mine, other = {"LLEM_JOB_ID": "mine"}, {"LLEM_JOB_ID": "other"}
    proc = fake_proc(
        tmp_path,
        {
            1: ("init", 0, 1, {}),
            10: ("bash", 1, 1, {}),
            20: ("llem", 10, 1, {}),
            25: ("template", 20, 1, {"LLEM_JOB_ID": "0000"}),
            30: ("supervisor", 25, 1, mine),
            31: ("worker (x) y", 30, 1, mine),
            32: ("sampler", 31, 1, mine),
            33: ("engine", 1, 1, mine),
            34: ("engine child", 33, 1, {}),
            40: ("supervisor", 25, 1, other),
            41: ("worker", 40, 1, other),
        },
    )
    found = look(31, {"LLEM_JOB_ID": "mine", "LLEM_HOST_PID": "20"}, proc)
    assert isinstance(found, Instant)
    assert {p.pid for p in found.tree.values()} == {30, 31, 32, 33, 34}
    assert {p.pid for p in found.hosts.values()} == {20, 25}
    assert {p.pid for p in found.others.values()} == {1, 10, 40, 41}
    # Interrupts are nobody's, guests are in `user` already, and idle, waiting and stolen time is no use.
    assert (found.cores, found.busy, found.counted, found.stolen) == (2, 100, 1012, 5)


def test_a_server_that_was_there_before_is_the_experiment_s_with_its_children_where_it_is_named(tmp_path: Path) -> None:
    proc = fake_proc(
        tmp_path,
        {
            1: ("init", 0, 1, {}),
            5: ("server", 1, 1, {}),
            6: ("its engine", 5, 1, {}),
            7: ("neighbour", 1, 1, {}),
            31: ("worker", 1, 1, {}),
        },
    )
    found = look(31, {}, proc, also=(5, 4000))
    assert isinstance(found, Instant)
    assert {p.pid for p in found.tree.values()} == {5, 6, 31}
    assert {p.pid for p in found.others.values()} == {1, 7}
    assert found.also == (5, 4000)


def test_a_llem_of_another_namespace_is_not_looked_for_among_strangers(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path, {1: ("init", 0, 1, {}), 31: ("worker", 1, 1, {"LLEM_JOB_ID": "mine"})})
    found = look(31, {"LLEM_JOB_ID": "mine", "LLEM_HOST_PID": "9999"}, proc)
    assert isinstance(found, Instant)
    assert found.hosts == {}


def test_a_worker_is_told_which_llem_started_it_and_no_result_repeats_it() -> None:
    variables = worker_environment({}, scratch="/x", job_id="mine", settings={})
    assert variables["LLEM_HOST_PID"] == str(os.getpid())
    assert "LLEM_HOST_PID" not in telling_variables(variables, ["llem"])


@pytest.mark.parametrize(
    ("stat", "reason"),
    [
        ("", "cannot be read"),
        ("cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\n", "counts no CPU time"),
        ("intr 5\n", "does not begin"),
        ("cpu  a b c d e f g h\ncpu0 1\n", "cannot be read"),
    ],
)
def test_a_kernel_that_does_not_count_is_told(tmp_path: Path, stat: str, reason: str) -> None:
    proc = fake_proc(tmp_path, {31: ("worker", 1, 1, {})})
    (proc / "stat").write_text(stat)
    assert reason in str(look(31, {}, proc))


def test_a_proc_that_hides_the_experiment_is_told(tmp_path: Path) -> None:
    assert "does not show" in str(look(31, {}, fake_proc(tmp_path, {1: ("init", 0, 1, {})})))


def figure(scope: str, method: str) -> EnergyFigure:
    return EnergyFigure.model_validate(
        {"scope": scope, "method": method, "samplers": ["s"], "devices": ["d"], "energy_j": 1.0, "mean_w": 1.0}
    )


def test_only_figures_of_the_whole_machine_become_unreliable() -> None:
    totals = [figure("gpu", "counter"), figure("cpu", "counter"), figure("dram", "counter"), figure("cpu", "estimate")]
    device = DeviceEnergy(device="d", name="d", scope="host", sampler="s", method="power", energy_j=1.0, mean_w=1.0)
    energy = EnergyBreakdown(window_s=1.0, headline=totals[1], totals=totals, devices=[device])
    mark_machine_wide(energy)
    assert [t.unreliable for t in energy.totals] == [False, True, True, True]
    assert energy.headline is not None
    assert energy.headline.unreliable
    assert energy.devices[0].unreliable
    assert [is_of_the_machine(t) for t in totals] == [False, True, True, True]


def test_the_warning_names_share_seconds_and_the_busiest_programs_without_what_is_not_printable() -> None:
    before = instant(0, 0, keyed(process(7)))
    after = instant(
        10, 1000, keyed(process(7, 100)), others=keyed(process(8, 600, name="ev\x1b[2Jil"), process(9, 300, name="cc1"))
    )
    (warning,) = load_warnings(share_between(before, after, HZ), {"cpu"})
    assert warning.code == "other_load"
    for text in ("22.5%", "9 CPU seconds", "the experiment 1)", "ev?[2Jil (6 s)", "cc1 (3 s)", "energy of cpu"):
        assert text in warning.message
    assert load_warnings(share_between(before, after, HZ), set()) == []


def test_time_that_other_virtual_machines_took_is_told_apart() -> None:
    tree = keyed(process(7))
    share = share_between(instant(0, 0, tree), instant(10, 0, tree, stolen=400), HZ)
    assert share.share == 0
    assert [w.code for w in load_warnings(share, {"cpu"})] == ["cpu_stolen"]
    assert load_warnings(share_between(instant(0, 0, tree), instant(10, 0, tree, stolen=100), HZ), {"cpu"}) == []


BURN = """
import os, sys, time
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
"""

ORPHAN = """
if os.fork() == 0:
    os.setsid()
    end = time.monotonic() + 60
    while not os.path.exists({go!r}) and time.monotonic() < end:
        time.sleep(0.01)
    burn(0.5)
    open({burnt!r}, "w").close()
    while not os.path.exists({over!r}) and time.monotonic() < end:
        time.sleep(0.01)
"""

OWN = """
import json, subprocess
from llem.measure import other_load
subprocess.run([sys.executable, "-I", "-S", "-c", {orphan!r}], check=True)
before = other_load.begin()
assert not isinstance(before, str), before
burn(0.4)
subprocess.run([sys.executable, "-I", "-S", "-c", {child!r}], check=True)
open({go!r}, "w").close()
while not os.path.exists({burnt!r}):
    time.sleep(0.01)
share = other_load.share_since(before)
open({over!r}, "w").close()
print(json.dumps([share.own_s, share.others_s, share.reason]))
"""


@pytest.mark.process
def test_what_the_experiment_burns_by_itself_a_child_and_an_orphan_is_its_own(tmp_path: Path) -> None:
    files = {name: str(tmp_path / name) for name in ("go", "burnt", "over")}
    code = BURN + OWN.format(orphan=BURN + ORPHAN.format(**files), child=BURN + "burn(0.3)", **files)
    environment = {**os.environ, "LLEM_JOB_ID": f"burning-{os.getpid()}"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, timeout=120, check=True
    )
    own_s, others_s, reason = json.loads(run.stdout)
    assert reason is None
    assert others_s is not None
    # 0.4 by itself, 0.3 by a child that it waited for (and the start of an interpreter), 0.5 by the orphan.
    assert 1.15 <= own_s <= 2.5


STRANGER = """
import sys, time
with open(sys.argv[1], "w", buffering=1) as log:
    while True:
        for _ in range(100_000):
            pass
        print(time.monotonic_ns(), time.process_time(), file=log)
"""


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Callable[[int, int], float]]:
    """A process of somebody else that burns what it gets; gives the CPU seconds that it used between two instants."""
    log = tmp_path / "burnt"
    environment = {k: v for k, v in os.environ.items() if k != "LLEM_JOB_ID"}
    running = subprocess.Popen([sys.executable, "-c", STRANGER, str(log)], env=environment)

    def burnt(start_ns: int, end_ns: int) -> float:
        told = [tuple(map(float, line.split())) for line in log.read_text().splitlines() if line.count(" ") == 1]
        inside = [used for t_ns, used in told if start_ns <= t_ns <= end_ns]
        return inside[-1] - inside[0] if len(inside) > 1 else 0.0

    yield burnt
    running.kill()
    running.wait()


def test_a_sleeping_engine_beside_a_busy_loop_is_marked_with_what_was_really_burnt(
    make_job: Make, stranger: Callable[[int, int], float]
) -> None:
    job = make_job(
        measurement={"min_window_s": 4},
        dataset={"output_tokens": 50},
        testbed={"token_s": 0.01},
        baseline={"enabled": True, "duration_s": 2, "resident_s": 1},
    )
    assert job.run() == 0, (job.directory / "worker.log").read_text()
    result = job.result
    window, idle = (next(p for p in result.phases if p.name == name) for name in ("window", "idle_baseline"))
    burnt_s = stranger(window.start_ns, window.end_ns)
    load = result.other_load
    assert load is not None
    assert load.reason is None
    assert load.window_cpu_s >= 0.9 * burnt_s - 0.05
    assert load.own_cpu_s < load.window_cpu_s + burnt_s, "an engine that sleeps takes next to nothing"
    assert load.window_share == pytest.approx(load.window_cpu_s / load.cores / result.energy.window_s, rel=0.2)
    burnt_share = burnt_s / load.cores / result.energy.window_s
    if burnt_share < 2 * load.resolution_share + DOUBTFUL_FROM:
        pytest.fail(f"the busy loop got {burnt_share:.1%} of the machine only: nothing is shown")
    assert result.energy.headline.scope == "cpu"
    assert result.energy.headline.unreliable
    assert "other_load" in job.codes
    message = next(w.message for w in result.warnings if w.code == "other_load")
    assert f"{load.window_share:.1%}" in message
    assert any(name.startswith("python") for name in load.busiest_s)
    # Its idle power was taken beside the same load: told, and kept for nobody.
    assert stranger(idle.start_ns, idle.end_ns) / load.cores / 2 > DOUBTFUL_FROM
    assert load.baseline_share > DOUBTFUL_FROM
    assert "baseline_doubtful" in job.codes
    assert list((job.directory.parent / "cache").rglob("*.json")) == []


def test_energy_of_a_gpu_stands_whatever_else_runs(
    make_job: Make, stranger: Callable[[int, int], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTMETER_SCOPE", "gpu")
    job = make_job(measurement={"min_window_s": 2}, baseline={"enabled": True, "duration_s": 0.5, "resident_s": 0})
    assert job.run() == 0, (job.directory / "worker.log").read_text()
    assert job.result.other_load.window_share > 0
    assert not job.result.energy.devices[0].unreliable
    assert job.codes & {"other_load", "baseline_doubtful"} == set()
    assert len(list((job.directory.parent / "cache").rglob("*.json"))) == 1
