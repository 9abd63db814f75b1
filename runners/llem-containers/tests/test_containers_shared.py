"""Parts that runners in containers share: a process's name, the room that a container takes, looks that are shared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from llem.errors import LlemError
from llem_containers.errors import ImageMissing
from llem_containers.image_facts import ImageFacts
from llem_containers.looks import Looks, Use
from llem_containers.process import has_ended, this_process, was_here
from llem_containers.space import Space


def test_a_process_that_lives_has_not_ended_and_one_of_another_boot_has() -> None:
    assert not has_ended(this_process())
    boot, pid, start = this_process().split(":")
    assert has_ended(f"{boot}:{pid}:{int(start) - 1}")
    assert was_here(f"{boot}:{pid}:{int(start) - 1}")
    assert has_ended(f"another:{pid}:{start}")
    assert not was_here(f"another:{pid}:{start}")


@pytest.mark.process
def test_a_container_that_writes_more_than_it_may_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = Space([tmp_path], 2**20, "runner_options.x.output")
    assert space.trouble() is None
    (tmp_path / "big").write_bytes(b"x" * 3 * 2**20)
    assert space.trouble() is None  # it has just looked
    monkeypatch.setattr("llem_containers.space._PERIOD_S", 0)
    space._due = 0
    found = space.trouble()
    assert found is not None
    assert found[0] == "OutputTooLarge"
    assert "more than 1 MiB (runner_options.x.output)" in found[1]


def test_each_image_is_looked_into_once_and_without_gpus_where_they_are_refused() -> None:
    looked: list[tuple[str, tuple[str, ...]]] = []

    def get(reference: str) -> str:
        if reference == "gone":
            raise ImageMissing("it is not here.")
        return reference

    def look(image: str, gpus: Sequence[str]) -> ImageFacts:
        looked.append((image, tuple(gpus)))
        if gpus:
            raise LlemError("no GPU for you.")
        return ImageFacts(llem="1", schema=1)

    use, gone = Use("b", "x", ("GPU-1",)), Use("b", "gone", ())
    looks = Looks([use, gone], get, look)
    for _ in range(2):
        assert isinstance(looks.with_gpus(use), LlemError)
        found = looks.plain(use)
        assert isinstance(found, ImageFacts)
        assert isinstance(looks.plain(gone), ImageMissing)
    assert looked == [("x", ("GPU-1",)), ("x", ())]
