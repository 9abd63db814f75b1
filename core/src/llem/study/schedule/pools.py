"""Resource pools: what may run at once, and what has to wait for another to end.

A pool is something of which there is only so much: this machine, which serves one experiment at a time, or a cluster with
room for a thousand. Its slots are what experiments hold while they run. Experiments of one pool start in the plan's order;
pools do not wait for each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llem.config.study import ExecutionConfig
from llem.plan.schedule import gap_s

if TYPE_CHECKING:
    from llem.plan import Planned

HOST = "this machine"


@dataclass(eq=False)
class Slot:
    """A place for one experiment, or for a part of one. `released_at` and `cycle` are of the last one that held it."""

    name: str
    released_at: float | None = None
    cycle: int = 0


@dataclass(eq=False)
class ResourcePool:
    """Slots, and the experiments that wait for them.

    Args:
        slots: names of what is held.
        pauses: whether what is held has to cool down between two experiments.
        needs: how many slots an experiment holds.
    """

    slots: Sequence[str]
    pauses: bool = True
    needs: Callable[[Planned], int] = lambda planned: 1
    waiting: deque[Planned] = field(default_factory=deque, init=False)
    _free: deque[Slot] = field(init=False)

    def __post_init__(self) -> None:
        self._free = deque(Slot(name) for name in self.slots)

    @property
    def size(self) -> int:
        """Number of slots."""
        return len(self.slots)

    @property
    def has_free_slot(self) -> bool:
        """Tell whether any slot is free."""
        return bool(self._free)

    def is_shared_by(self, slots: Sequence[Slot]) -> bool:
        """Tell whether whoever holds these has neighbours on this machine."""
        return self.pauses and len(slots) < self.size

    def offer(self, planned: Planned) -> list[Slot] | None:
        """The slots that it would hold, those first that are free the longest; None while too few are."""
        count = min(self.needs(planned), self.size)
        return [self._free[i] for i in range(count)] if len(self._free) >= count else None

    def pause_s(self, slots: Sequence[Slot], planned: Planned, execution: ExecutionConfig, now: float) -> float:
        """The time that these slots have to cool down yet before the experiment may start (seconds)."""
        if not self.pauses:
            return 0.0
        used = [(slot.released_at, slot.cycle) for slot in slots if slot.released_at is not None]
        return max([0.0, *(at + gap_s(execution, cycle, planned.cycle) - now for at, cycle in used)])

    def take(self, slots: Sequence[Slot]) -> None:
        """Hold slots that were offered."""
        for slot in slots:
            self._free.remove(slot)

    def give_back(self, slots: Sequence[Slot], planned: Planned, now: float) -> None:
        """The experiment that held them has ended."""
        for slot in slots:
            slot.released_at, slot.cycle = now, planned.cycle
            self._free.append(slot)

    def skip_pause(self) -> None:
        """The user wants to wait no longer."""
        for slot in self._free:
            slot.released_at = None


@dataclass(frozen=True, kw_only=True)
class PoolShare:
    """The share of a backend's experiments in what they run on.

    Attributes:
        elsewhere: how many jobs its runner takes at once on other machines; None where they run on this one.
        gpus: how many of this machine's GPUs an experiment holds, where it can share them: None for all; the whole is
            None where it cannot.
    """

    elsewhere: int | None = None
    gpus: Callable[[Planned], int | None] | None = None


def pools_of(shares: Mapping[str, PoolShare], gpus: Sequence[str] = ()) -> dict[str, ResourcePool]:
    """A pool for each backend.

    All that runs on this machine shares one pool, since two experiments at once would be in each other's figures. Where its
    GPUs are shared out they are the slots, and what cannot do with some of them holds all. Runners elsewhere have a pool each,
    of as many slots as they take jobs at once, be that one.

    Args:
        gpus: this machine's, where experiments on different ones run side by side; their ids.
    """

    def needs(planned: Planned) -> int:
        of = shares[planned.config.backend].gpus
        return (of(planned) if of is not None else None) or len(gpus)

    host = ResourcePool(gpus, needs=needs) if len(gpus) > 1 else ResourcePool([HOST])
    return {
        backend: host
        if share.elsewhere is None
        else ResourcePool([f"{backend} {i}" for i in range(share.elsewhere)], pauses=False)
        for backend, share in shares.items()
    }
