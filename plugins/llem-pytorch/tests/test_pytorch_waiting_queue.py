"""The queue in front of static batches: nobody overtakes, nobody waits longer than agreed, no batch starts before it is due."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llem_pytorch.serving.waiting_queue import WaitingQueue

GAPS = st.lists(st.integers(0, 50), max_size=40)


def test_a_batch_starts_when_it_is_full_or_its_oldest_request_has_waited() -> None:
    queue: WaitingQueue[str] = WaitingQueue(2, 10)
    assert queue.due_in_ns(0) is None
    queue.put("a", 5)
    assert queue.due_in_ns(7) == 8
    assert queue.take(14) == []
    assert queue.take(15) == [("a", 10)]
    queue.put("b", 20)
    queue.put("c", 21)
    queue.put("d", 21)
    assert queue.due_in_ns(21) == 0
    assert queue.take(22) == [("b", 2), ("c", 1)]
    assert queue.take(22) == []
    assert queue.due_in_ns(22) == 9


def test_a_request_that_is_taken_out_is_in_no_batch() -> None:
    queue: WaitingQueue[str] = WaitingQueue(2, 10)
    for name in "abc":
        queue.put(name, 0)
    queue.remove("b")
    queue.remove("nobody")
    assert [name for name, _ in queue.take(0)] == ["a", "c"]
    assert len(queue) == 0


@given(gaps=GAPS, size=st.integers(1, 5), max_wait_ns=st.integers(0, 60))
def test_an_idle_server_takes_each_request_in_order_and_when_it_is_due(
    gaps: list[int], size: int, max_wait_ns: int
) -> None:
    """The server looks whenever something comes and whenever a batch falls due, as its thread does."""
    queue: WaitingQueue[int] = WaitingQueue(size, max_wait_ns)
    arrivals, now = [], 0
    for gap in gaps:
        now += gap
        arrivals.append(now)
    taken: list[int] = []

    def take(at: int) -> None:
        while batch := queue.take(at):
            assert len(batch) <= size
            assert len(batch) == size or batch[0][1] >= max_wait_ns
            for number, waited in batch:
                assert waited == at - arrivals[number] <= max_wait_ns
            taken.extend(number for number, _ in batch)

    for number, at in enumerate(arrivals):
        before = arrivals[number - 1] if number else 0
        while (due := queue.due_in_ns(before)) is not None and before + due <= at:
            before += due
            take(before)
        queue.put(number, at)
        take(at)
    last = arrivals[-1] if arrivals else 0
    while (due := queue.due_in_ns(last)) is not None:
        last += due
        take(last)
    assert taken == list(range(len(arrivals)))
