"""Kills a study again and again, at instants drawn from a seed, and resumes it each time."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from crash.processes import PATIENCE_S, Role, find, kill
from crash.study import Study

KILLS = 10
"""Number of kills of one study."""

_ROLES: tuple[Role, ...] = ("host", "host", "host", "host", "worker", "worker", "sampler", "supervisor")
_MOST = {"host": 40, "worker": 22, "sampler": 6}
"""About how many file operations each does; the others do none in the study's folder."""

_LIVES_S = {"host": 3.0, "fork_server": 3.0, "supervisor": 1.0, "worker": 0.7, "sampler": 0.3}
"""About how long each lives, or in the case of llem shall."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL to come.

    Attributes:
        after_s: so long after a process in this role is first seen; or else
        operation: at its file operation of this number, `before`, `torn` or `after`.
        hasty: llem is started again at once, whatever may still be ending.
    """

    role: Role
    after_s: float | None
    operation: tuple[int, str] | None
    hasty: bool = False

    def __str__(self) -> str:
        then = ", and started again at once" if self.hasty and self.role == "host" else ""
        if self.operation:
            return f"{self.role} at its file operation {self.operation[0]}, {self.operation[1]}{then}"
        return f"{self.role} after {self.after_s:.3f} s{then}"


def is_warm(seed: int) -> bool:
    """Tell whether the study of a seed forks its workers."""
    return seed % 2 == 1


def draw(seed: int) -> Iterator[Kill]:
    """The kills of a seed, without end. Studies of even seeds start every worker afresh, and have no fork server."""
    chance = random.Random(seed)
    while True:
        role = chance.choice((*_ROLES, "fork_server") if is_warm(seed) else _ROLES)
        most = _MOST.get(role)
        if most is not None and chance.random() < 0.5:
            manner = chance.choice(("before", "torn", "after"))
            yield Kill(role, None, (chance.randint(1, most), manner), chance.random() < 0.3)
        else:
            yield Kill(role, chance.uniform(0, _LIVES_S[role]), None, chance.random() < 0.3)


@dataclass
class Campaign:
    """Kills of one study, until so many have landed; then it is completed.

    Attributes:
        landed: the kills that met a living process, in order: the points of this campaign.
    """

    seed: int
    study: Study
    kills: int = KILLS
    landed: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Kill, resume and check, to the end. Raises AssertionError, which tells how to repeat it."""
        try:
            kills = draw(self.seed)
            deadline = time.monotonic() + self.kills * PATIENCE_S
            while len(self.landed) < self.kills:
                assert time.monotonic() < deadline, "hardly any kill meets its process"
                if not self.study.running:
                    self._start_again()
                self._suffer(next(kills))
            if self.study.running:
                self.study.settle()
            self.study.complete()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            raise AssertionError(self._account(error)) from error
        finally:
            if self.study.process is not None:
                self.study.process.kill()
                self.study.process.wait()

    def _start_again(self) -> None:
        study = self.study
        if study.process is not None:
            if study.settle() == 0:
                study.check_complete()
                study.cycles += 1
            study.discard_unplanned()
        study.order.unlink(missing_ok=True)
        study.start()

    def _suffer(self, kill_: Kill) -> None:
        landed = self._at_operation(kill_) if kill_.operation else self._at_time(kill_)
        if landed:
            self.landed.append(str(kill_))
            if kill_.role == "host":
                assert self.study.process is not None
                self.study.process.wait(PATIENCE_S)
                if kill_.hasty and self.study.folder is not None:
                    self.study.start()

    def _at_operation(self, kill_: Kill) -> bool:
        assert kill_.operation is not None
        order = self.study.order
        new = order.with_name("order.new")
        new.write_text(f"{kill_.role} {kill_.operation[0]} {kill_.operation[1]}\n")
        new.replace(order)
        while order.exists():
            if not self.study.running:
                with suppress(FileNotFoundError):
                    order.unlink()
                    return False
                break
            time.sleep(0.01)
        return True

    def _at_time(self, kill_: Kill) -> bool:
        study, pid = self.study, None
        assert kill_.after_s is not None
        while study.running and pid is None:
            assert study.process is not None
            pid = study.process.pid if kill_.role == "host" else find(study.mark, kill_.role)
            if pid is None:
                time.sleep(0.01)
        if pid is None:
            return False
        time.sleep(kill_.after_s)
        return kill(pid)

    def _account(self, error: BaseException) -> str:
        """A failure, the kills before it, and the way to have it again."""
        study = self.study
        said = study.said[-1].read_text(errors="replace")[-3000:] if study.said else ""
        kills = "\n".join(f"  {i}. {text}" for i, text in enumerate(self.landed, start=1))
        return (
            f"seed {self.seed}: {error}\n\nIt was killed so:\n{kills}\n\nIts folder: {study.root}\nIt said last:\n{said}\n\n"
            f"To repeat it: CRASH_SEED={self.seed} CRASH_POINTS={self.kills} "
            "python -m pytest -m crash tests/crash/test_crash_kills.py"
        )


def campaigns(points: int, seed: int, root: Path, preload: Path) -> list[Campaign]:
    """As many as it takes for so many points, with seeds counted up from the first."""
    sizes = [min(KILLS, points - done) for done in range(0, points, KILLS)]
    return [
        Campaign(seed + i, Study(root / f"seed-{seed + i}", preload, warm=is_warm(seed + i)), size)
        for i, size in enumerate(sizes)
    ]
