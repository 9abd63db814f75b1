"""Static batches behind a queue."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from llem_pytorch.serving.counts import ServerCounts
from llem_pytorch.serving.streamed_answer import StreamedAnswer
from llem_pytorch.serving.waiting_queue import WaitingQueue
from llem_pytorch.streamer import Cancelled, StepClock

Run = Callable[[Sequence[StreamedAnswer], StepClock], Sequence[Sequence[int]]]
"""Runs one batch; returns the new tokens of each row, which the clock is told step by step."""


class BatchServer:
    """Answers batches one after another. An `AnswerServer`.

    Requests that come while a batch runs wait for its end. An answer leaves when it is whole, but its row is computed along
    until the last one of its batch is: that is what a static batch costs. An error while a batch runs ends the requests of
    that batch, and no others.

    Args:
        run: runs one batch.
        size: requests of a batch, at most.
        max_wait_s: a batch that is not full starts when its oldest request has waited so long.
        can_stop: whether a batch may be left at one of its steps; not where other processes run it too.
    """

    def __init__(self, run: Run, size: int, max_wait_s: float, *, can_stop: bool = True) -> None:
        self._run, self._can_stop = run, can_stop
        self._queue: WaitingQueue[StreamedAnswer] = WaitingQueue(size, round(max_wait_s * 1e9))
        self._changed = threading.Condition()
        self._closed = False
        self._under_way: Sequence[StreamedAnswer] = ()
        self._counts = ServerCounts()
        self._thread = threading.Thread(target=self._serve, name="llem-pytorch-batches", daemon=True)
        self._thread.start()

    def submit(self, answer: StreamedAnswer) -> None:
        """See `AnswerServer.submit`."""
        with self._changed:
            if self._closed:
                raise RuntimeError("the engine is closed")
            self._queue.put(answer, time.monotonic_ns())
            self._counts.waiting(len(self._queue))
            self._changed.notify()

    def cancel(self, answer: StreamedAnswer) -> None:
        """See `AnswerServer.cancel`. A batch ends when nobody waits for any of its answers."""
        with self._changed:
            answer.give_up()
            self._queue.remove(answer)

    def metrics(self, *, reset: bool = False) -> Mapping[str, float]:
        """See `AnswerServer.metrics`."""
        found = self._counts.figures(reset=reset)
        with self._changed:
            self._counts.waiting(len(self._queue))  # those that wait already are of the next window too
        return found

    def close(self) -> None:
        """See `AnswerServer.close`."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _serve(self) -> None:
        while batch := self._next():
            self._answer(batch)
            self._under_way = ()
        self._fail(self._waiting_at_the_end(), RuntimeError("the engine was closed"))

    def _next(self) -> Sequence[StreamedAnswer]:
        """Wait for a batch; empty once the server is closed."""
        with self._changed:
            while not self._closed:
                if taken := self._queue.take(time.monotonic_ns()):
                    self._counts.batch(len(taken))
                    for _, waited_ns in taken:
                        self._counts.waited(waited_ns / 1e9)
                    self._under_way = [answer for answer, _ in taken]
                    return self._under_way
                due_ns = self._queue.due_in_ns(time.monotonic_ns())
                self._changed.wait(None if due_ns is None else due_ns / 1e9)
        return ()

    def _answer(self, batch: Sequence[StreamedAnswer]) -> None:
        try:
            rows = self._run(batch, StepClock(self._step, self._is_given_up if self._can_stop else None))
        except Cancelled:
            self._fail(batch, RuntimeError("the engine was closed"))  # reaches none but those that still wait
        except BaseException as error:  # noqa: BLE001 - it is raised again where each answer is awaited
            self._fail(batch, error)
        else:
            now_ns = time.monotonic_ns()
            # Nothing is left over here unless `generate` ended without telling its clock.
            rest = [(a, a.take(row[len(a.tokens) :], now_ns)) for a, row in zip(batch, rows, strict=True)]
            StreamedAnswer.hand_over(rest)
            self._fail(batch, RuntimeError("transformers ended the batch before this answer was whole"))

    def _step(self, rows: Sequence[Sequence[int]], t_ns: int) -> None:
        live = [(answer, row) for answer, row in zip(self._under_way, rows, strict=True) if not answer.has_ended]
        self._counts.step(len(live))
        StreamedAnswer.hand_over([(answer, answer.take(row, t_ns)) for answer, row in live])

    def _is_given_up(self) -> bool:
        batch = self._under_way
        return self._closed or (any(a.is_given_up for a in batch) and all(a.has_ended for a in batch))

    def _waiting_at_the_end(self) -> Sequence[StreamedAnswer]:
        with self._changed:
            waiting: list[StreamedAnswer] = []
            while len(self._queue):
                waiting += [answer for answer, _ in self._queue.take(2**63)]
            return waiting

    @staticmethod
    def _fail(answers: Sequence[StreamedAnswer], error: BaseException) -> None:
        StreamedAnswer.hand_over([(answer, answer.fail(error)) for answer in answers])
