"""The parts that need no cluster: needs, nodes, placement, what a worker inherits, output on its way, and the light specs."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from llem.config.section import Section
from llem.hookspecs import API_VERSION
from llem.specs.backend import BackendSpec
from llem.specs.runner import Placement
from llem_ray.job_output import Outbox
from llem_ray.keeper import inherited, visible
from llem_ray.mailbox import Mailbox, Parcel
from llem_ray.nodes import Node, fitting, living, settled
from llem_ray.options import RayOptions
from llem_ray.parcels import OutputTooLarge, Storage, StorageFailed, sizes, take
from llem_ray.placement import Places
from llem_ray.preflight_facts import _local_things
from llem_ray.resource_request import ResourceRequest, need_of
from llem_serving.config import LoadConfig


@pytest.mark.process
def test_registering_imports_neither_ray_nor_asyncio() -> None:
    code = "import sys, llem_ray.plugin as p; p.llem_runners(); p.llem_preflight_checks(); "
    code += "sys.exit(' '.join({'ray', 'asyncio', 'fsspec'} & set(sys.modules)) or None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def of(options: dict[str, Any], capabilities: set[Any], takes: int | None = None, **section: Any) -> ResourceRequest:
    """The need of an experiment whose backend says that it takes so many GPUs."""
    config: Any = SimpleNamespace(options=SimpleNamespace(**section))
    backend = BackendSpec(
        name="any",
        api_version=API_VERSION,
        summary="",
        config=Section,
        engine="",
        capabilities=frozenset(capabilities),
        gpus=lambda _: takes,
    )
    return need_of(config, backend, RayOptions.model_validate(options))


@pytest.mark.parametrize(
    ("capabilities", "takes", "section", "gpus", "wish"),
    [
        ({"cpu"}, None, {}, 0, False),
        ({"cpu"}, 2, {}, 0, False),
        ({"cpu", "gpu"}, None, {}, 1, True),
        ({"gpu"}, None, {}, 1, False),
        ({"cpu", "gpu"}, 0, {"device": "cpu"}, 0, False),
        ({"cpu", "gpu"}, 1, {"device": "cuda"}, 1, False),
        ({"cpu", "gpu"}, 6, {}, 6, False),
        ({"gpu"}, 1, {}, 1, False),
    ],
)
def test_gpus_follow_from_the_backend_and_its_section(
    capabilities: set[str], takes: int | None, section: dict[str, Any], gpus: int, wish: bool
) -> None:
    need = of({}, capabilities, takes, **section)
    assert (need.gpus, need.gpu_wish) == (gpus, wish)
    assert of({"num_gpus": 3}, capabilities, takes, **section).gpus == 3


def test_a_need_crosses_as_plain_data() -> None:
    need = of({"memory_gb": 1.5, "nodes": ["a"], "labels": {"zone": "x"}, "exclusive": True}, {"gpu"})
    assert ResourceRequest.of(json.loads(json.dumps(need.document()))) == need
    assert need.memory == 3 * 2**29


def test_files_that_a_node_must_have_are_those_of_backend_and_scenario(tmp_path: Path) -> None:
    for name in ("t.jsonl", "adapter.bin"):
        (tmp_path / name).touch()

    class Options(Section):
        adapter: str

    config: Any = SimpleNamespace(
        model=SimpleNamespace(source="random:tiny-llama", tokenizer=None),
        dataset=SimpleNamespace(path=None),
        options=Options(adapter="./adapter.bin"),
        sections={"load": LoadConfig(arrival="trace", trace="t.jsonl")},
    )
    found = list(_local_things(config, tmp_path))
    assert found == [("path", str(tmp_path / "adapter.bin")), ("path", str(tmp_path / "t.jsonl"))]


def node(name: str, labels: dict[str, str] | None = None, **resources: float) -> Node:
    return Node(id=f"id-{name}", name=name, names=frozenset({name}), resources=resources, labels=labels or {})


def test_nodes_are_named_as_they_were_given_else_by_their_host() -> None:
    told = {"Alive": True, "NodeID": "ab", "NodeManagerAddress": "10.0.0.1", "NodeManagerHostname": "h1"}
    listed = [{**told, "NodeName": "10.0.0.1"}, {**told, "NodeID": "cd", "NodeName": "gpu-1"}, {**told, "Alive": False}]
    assert [one.name for one in living(listed)] == ["gpu-1", "h1"]
    need = of({"nodes": ["10.0.0.1"]}, {"cpu"})
    assert fitting(need, [Node(id="ab", name="h1", names=frozenset({"10.0.0.1"}), resources={"CPU": 1})])


def test_only_nodes_with_all_that_is_asked_fit() -> None:
    nodes = [node("small", CPU=1), node("big", {"zone": "x"}, CPU=8, GPU=2, memory=2**33, card=1)]
    assert fitting(of({}, {"cpu"}), nodes) == nodes
    for options in (
        {"num_cpus": 2.0},
        {"num_gpus": 1},
        {"memory_gb": 1.0},
        {"resources": {"card": 1.0}},
        {"labels": {"zone": "x"}},
    ):
        assert [one.name for one in fitting(of(options, {"cpu"}), nodes)] == ["big"], options
    assert not fitting(of({"labels": {"zone": "y"}}, {"cpu"}), nodes)
    wish = of({}, {"cpu", "gpu"})
    assert settled(wish, nodes).gpus == 1
    assert settled(wish, nodes[:1]).gpus == 0


def test_where_nothing_asks_for_a_place_ray_decides() -> None:
    place = Places().choose(of({}, {"cpu"}), None, [node("a", CPU=1)])
    assert place is not None
    assert place.node is None
    assert Places().choose(of({"num_gpus": 1}, {"cpu"}), None, [node("a", CPU=1)]) is None


def test_an_exclusive_experiment_waits_for_a_node_without_another() -> None:
    places, nodes, need = Places(), [node("a", CPU=4), node("b", CPU=4)], of({"exclusive": True}, {"cpu"})
    first = places.choose(need, None, nodes)
    assert first is not None
    places.enter("1", need, None, first)
    second = places.choose(need, None, nodes)
    assert second is not None
    places.enter("2", need, None, second)
    assert first.node in nodes
    assert second.node in nodes
    assert first.node != second.node
    assert places.choose(need, None, nodes) is None
    places.leave("1", need, None, first, lost=False)
    third = places.choose(need, None, nodes)
    assert third is not None
    assert third.node == first.node


def send(places: Places, placement: Placement, nodes: list[Node], name: str) -> str:
    need = of({}, {"cpu"})
    place = places.choose(need, placement, nodes)
    assert place is not None
    assert place.node is not None
    places.enter(name, need, placement, place)
    return place.node.name


def test_cycles_stay_together_also_with_those_of_before_a_resume() -> None:
    places, nodes = Places(), [node("a", CPU=4), node("b", CPU=4)]
    placement = Placement(rule="same_node", key="k", nodes=("a", "b"))
    assert [send(places, placement, nodes, str(i)) for i in range(3)] == ["b"] * 3
    moved = places.choose(of({}, {"cpu"}), placement, nodes[:1])
    assert moved is not None
    assert moved.moved_from == "b"


def test_cycles_spread_over_nodes_also_with_those_of_before_a_resume() -> None:
    places, nodes = Places(), [node("a", CPU=4), node("b", CPU=4)]
    placement = Placement(rule="spread", key="k", nodes=("a", "a"))
    assert sorted(send(places, placement, nodes, str(i)) for i in range(4)) == ["a", "b", "b", "b"]


@pytest.mark.parametrize(
    "options",
    [
        {"num_cpus": 0.0},
        {"num_gpus": -1},
        {"labels": {"zone": "in(a,b)"}},
        {"resources": {"card": 0.0}},
        {"max_retries": -1},
        {"capacity": 0},
        {"adress": "auto"},
        {"exclusive": "yes"},
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RayOptions.model_validate(options)


def test_a_worker_sees_the_first_of_the_gpus_that_were_assigned() -> None:
    assigned = {"CUDA_VISIBLE_DEVICES": "3,5", "PATH": "/bin"}
    assert visible(assigned, 2) == {"CUDA_VISIBLE_DEVICES": "3,5"}
    assert visible(assigned, 1) == {"CUDA_VISIBLE_DEVICES": "3"}
    assert visible(assigned, 0) == {"CUDA_VISIBLE_DEVICES": ""}
    assert visible({}, 0) == {"CUDA_VISIBLE_DEVICES": ""}


def test_a_worker_inherits_nothing_of_rays() -> None:
    here = {"RAY_JOB_ID": "1", "OMP_NUM_THREADS": "1", "PYTHONBREAKPOINT": "ray", "HOME": "/root"}
    assert inherited(here, {}) == {"OMP_NUM_THREADS": "1", "HOME": "/root"}
    assert inherited(here, {"LLEM_NODE_EXCLUSIVE": "1"}) == {"HOME": "/root"}


def test_a_mailbox_gives_output_to_the_driver_and_orders_to_the_task() -> None:
    async def talk() -> tuple[list[Parcel], float | None, float | None]:
        box = Mailbox()
        waiting = asyncio.ensure_future(box.order("a", None))
        await box.put(Parcel("a", "log", b"x"))
        fetched = await box.fetch()
        await box.stop("a", 5.0)
        first = await waiting
        sooner = asyncio.ensure_future(box.order("a", 5.0))
        await asyncio.sleep(0)
        await box.stop("b", 0.0)
        assert not sooner.done()
        await box.stop("a", 0.0)
        return fetched, first, await sooner

    assert asyncio.run(talk()) == ([Parcel("a", "log", b"x")], 5.0, 0.0)


def test_output_is_appended_once_in_order_and_gaps_are_told(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    for offset, data in ((0, b"one\n"), (0, b"one\n"), (4, b"two\n"), (12, b"four\n")):
        box.write(Parcel("a", "log", data, offset))
    assert (tmp_path / "worker.log").read_text() == "one\ntwo\n\nllem: 4 bytes of output were lost on the way\nfour\n"
    box.write(Parcel("a", "events", b'{"event": "phase"}\n', 0))
    box.begin_anew(1, "the node a died.")
    assert not (tmp_path / "worker.log").exists()
    assert "four" in (tmp_path / "worker.attempt-1.log").read_text()
    box.write(Parcel("b", "events", b'{"event": "again"}\n', 0))
    events = [json.loads(line)["event"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert events == ["message", "again"]


def test_results_are_taken_by_name_and_size(tmp_path: Path) -> None:
    job, target = tmp_path / "job", tmp_path / "target"
    job.mkdir()
    target.mkdir()
    (job / "result.json").write_text("{}")
    (job / "else.bin").write_bytes(b"x" * 100)
    (job / "requests.parquet").symlink_to(job / "else.bin")
    assert sizes(job, 10) == {"result.json": 2}
    for name in ("server.log", "worker.log", ".hidden.log"):
        (job / name).write_bytes(b"log")
    assert sizes(job, 10) == {"server.log": 3, "result.json": 2}
    with pytest.raises(OutputTooLarge, match="output_limit_mb"):
        sizes(job, 1)
    take({"result.json": b"{}", "server.log": b"log", "../escape.log": b"no", "worker.log": b"no"}, target, 100)
    assert sorted(path.name for path in target.iterdir()) == ["result.json", "server.log"]
    with pytest.raises(OutputTooLarge):
        take({"result.json": b"x" * 200}, target, 100)
    assert (target / "result.json").read_bytes() == b"{}"


def test_storage_gives_back_what_was_told_and_nothing_else(tmp_path: Path) -> None:
    job = tmp_path / "job"
    job.mkdir()
    (job / "result.json").write_text("{}")
    storage = Storage(str(tmp_path / "shared"), "study", "a.1")
    (job / "server.log").write_text("log")
    storage.give(job, {"result.json": 2, "server.log": 3})
    found = storage.fetch({"result.json": 2, "server.log": 3, "else": 2}, 100)
    assert found == {"result.json": b"{}", "server.log": b"log"}
    with pytest.raises(StorageFailed, match="another size"):
        storage.fetch({"result.json": 1}, 100)
    storage.remove()
    storage.remove()
    assert not (tmp_path / "shared" / "study" / "a.1").exists()
    with pytest.raises(StorageFailed, match="cannot be used"):
        Storage("nonsense://there")
