"""The cache of built engines: one for what it was built from, verified before use, whole or not at all."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llem.errors import ModelError
from llem_trtllm.devices import difference_j
from llem_trtllm.engine_cache import ENGINE, ENTRY, Cost, Inputs, entry_for, problem_of, root

H100 = Inputs("1.2.1", "10.14.1", {"max_batch_size": 8}, "org/model@abc", ("sm90 NVIDIA H100",))
OTHERS = {
    "version": "1.2.2",
    "tensorrt": "10.15.0",
    "build": {"max_batch_size": 9},
    "model": "org/model@abd",
    "gpus": ("sm100 NVIDIA B200",),
}


class Builder:
    """Counts what it builds: two files whose content tells the turn."""

    def __init__(self, joules: float | None = 5.0) -> None:
        self.turns, self._joules = 0, joules

    def __call__(self, into: Path) -> Cost:
        self.turns += 1
        into.mkdir()
        (into / "rank0.engine").write_bytes(b"turn %d" % self.turns)
        (into / "config.json").write_text("{}")
        return Cost(1.5 * self.turns, self._joules)


def test_an_engine_is_built_once_and_tells_what_that_took_whenever_it_is_used(tmp_path: Path) -> None:
    build = Builder()
    first, again = entry_for(H100, build, tmp_path), entry_for(H100, build, tmp_path)
    assert (first.origin, again.origin, build.turns) == ("built", "cached", 1)
    assert first.folder == again.folder == tmp_path / H100.key() / ENGINE
    assert first.cost == again.cost == Cost(1.5, 5.0)


@pytest.mark.parametrize("name", OTHERS)
def test_whatever_makes_an_engine_another_one_has_an_entry_of_its_own(tmp_path: Path, name: str) -> None:
    changes: dict[str, Any] = {name: OTHERS[name]}
    other = replace(H100, **changes)
    assert other.key() != H100.key()
    build = Builder()
    assert entry_for(H100, build, tmp_path).folder != entry_for(other, build, tmp_path).folder
    assert build.turns == 2


def test_two_gpus_of_one_kind_are_not_one_and_the_order_of_options_is_nothing() -> None:
    assert replace(H100, gpus=H100.gpus * 2).key() != H100.key()
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}
    assert replace(H100, build=one).key() == replace(H100, build=other).key()


def test_an_engine_of_an_unlike_gpu_is_not_used_even_under_the_right_name(tmp_path: Path) -> None:
    build = Builder()
    foreign = replace(H100, gpus=("sm100 NVIDIA B200",))
    entry_for(foreign, build, tmp_path)
    (tmp_path / foreign.key()).rename(tmp_path / H100.key())
    found = entry_for(H100, build, tmp_path)
    assert (found.origin, build.turns) == ("built", 2)
    assert "built from something else" in found.why


@pytest.mark.parametrize("change", ["other", "shorter", "missing", "added", "no entry", "no json", "no cost", "list"])
def test_an_entry_that_is_not_what_was_built_is_built_anew_and_says_why(tmp_path: Path, change: str) -> None:
    build = Builder()
    folder = entry_for(H100, build, tmp_path).folder
    weights, entry = folder / "rank0.engine", folder.parent / ENTRY
    match change:
        case "other":
            weights.write_bytes(b"Turn 1")
        case "shorter":
            weights.write_bytes(b"turn")
        case "missing":
            weights.unlink()
        case "added":
            (folder / "rank1.engine").write_bytes(b"x")
        case "no entry":
            entry.unlink()
        case "no json":
            entry.write_text("{")
        case "list":
            entry.write_text("[]")
        case "no cost":
            entry.write_text(json.dumps({**json.loads(entry.read_text()), "cost": {"seconds": "many", "joules": None}}))
    found = entry_for(H100, build, tmp_path)
    assert (found.origin, build.turns) == ("built", 2)
    assert found.why
    assert (found.folder / "rank0.engine").read_bytes() == b"turn 2"
    assert problem_of(found.folder.parent, H100) == ""


def test_a_build_that_fails_leaves_nothing_and_the_next_one_is_whole(tmp_path: Path) -> None:
    def fails(into: Path) -> Cost:
        into.mkdir()
        (into / "half").write_text("x")
        raise ModelError("no memory.", where="here", remedy="none")

    with pytest.raises(ModelError, match="no memory"):
        entry_for(H100, fails, tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
    assert entry_for(H100, Builder(), tmp_path).origin == "built"


def test_two_runs_at_once_build_one_engine(tmp_path: Path) -> None:
    entered, leave = threading.Event(), threading.Event()
    build, found = Builder(), []

    def slow(into: Path) -> Cost:
        entered.set()
        leave.wait(60)
        return build(into)

    threads = [threading.Thread(target=lambda: found.append(entry_for(H100, slow, tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert entered.wait(60)
    leave.set()
    for thread in threads:
        thread.join()
    assert build.turns == 1
    assert sorted(entry.origin for entry in found) == ["built", "cached"]


def test_a_place_that_cannot_be_written_is_one_paragraph(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError) as caught:
        entry_for(H100, Builder(), tmp_path / "file" / "below")
    assert "XDG_CACHE_HOME" in str(caught.value)
    assert "\n" not in caught.value.what


def test_the_place_is_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert root() == tmp_path / "llem" / "trtllm-engines"


def test_energy_of_a_build_is_that_of_every_card_or_none() -> None:
    before, after = {"GPU-a": 10.0, "GPU-b": 5.0}, {"GPU-a": 14.0, "GPU-b": 6.0}
    assert difference_j(before, after, ["GPU-a", "GPU-b"]) == 5.0
    assert difference_j(before, after, ["GPU-a", "GPU-c"]) is None
    assert difference_j(after, before, ["GPU-a"]) is None
    assert difference_j(before, after, []) is None
