"""The way of tokens out of transformers' continuous batching."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from transformers.generation.continuous_batching.continuous_api import OutputRouter
from transformers.generation.continuous_batching.requests import GenerationOutput, RequestStatus

from llem_pytorch.serving.counts import ServerCounts
from llem_pytorch.serving.streamed_answer import Arrived, StreamedAnswer


class StepRouter(OutputRouter):
    """Hands each step's tokens to the answers that wait for them, with the time at which they reached the host.

    transformers calls it in its thread, once for each step that gave tokens, right after it has copied them to the host,
    which waits for the device. Its own router would leave the time to whoever reads the token later.

    Args:
        waiting: says how many requests wait for their first step.
    """

    def __init__(self, counts: ServerCounts, waiting: Callable[[], int]) -> None:
        super().__init__()
        self._answers: dict[str, StreamedAnswer] = {}
        self._guard = threading.Lock()
        self._counts, self._waiting = counts, waiting

    def expect(self, request_id: str, answer: StreamedAnswer) -> None:
        """Give this request's tokens to that answer from now on."""
        with self._guard:
            self._answers[request_id] = answer

    def forget(self, answer: StreamedAnswer) -> str | None:
        """Give it no more tokens. Returns its request's id, None where it has ended already."""
        with self._guard:
            found = next((key for key, one in self._answers.items() if one is answer), None)
            if found is not None:
                del self._answers[found]
            return found

    def fail_all(self, error: BaseException) -> None:
        """End every answer that somebody still waits for."""
        with self._guard:
            left, self._answers = list(self._answers.values()), {}
        StreamedAnswer.hand_over([(answer, answer.fail(error)) for answer in left])

    def deliver(self, output: GenerationOutput) -> None:
        """Take one request's outcome, as where it failed."""
        self.deliver_batch([output])

    def deliver_batch(self, outputs: Sequence[GenerationOutput]) -> None:
        """Take what one step brought."""
        now_ns = time.monotonic_ns()
        failed = [output for output in outputs if output.status == RequestStatus.FAILED]
        stepped = [output for output in outputs if output.status != RequestStatus.FAILED]
        if stepped:
            self._counts.step(len(stepped))
            self._counts.waiting(self._waiting())
        arrived = [(answer, self._take(answer, output, now_ns)) for answer, output in self._awaited(stepped)]
        arrived += [(answer, answer.fail(_failure(output))) for answer, output in self._awaited(failed)]
        StreamedAnswer.hand_over(arrived)

    def _take(self, answer: StreamedAnswer, output: GenerationOutput, now_ns: int) -> list[Arrived]:
        if not answer.tokens:
            self._counts.waited(output.lifespan[0] - output.created_time)
        # The output has all tokens so far, those from before its request was moved out of the cache among them.
        return answer.take(output.generated_tokens[len(answer.tokens) :], now_ns)

    def _awaited(self, outputs: Sequence[GenerationOutput]) -> list[tuple[StreamedAnswer, GenerationOutput]]:
        """Those whose answers somebody waits for; the last of each is given out once."""
        with self._guard:
            found = [(self._answers.get(output.request_id), output) for output in outputs]
            for output in outputs:
                if output.is_finished():
                    self._answers.pop(output.request_id, None)
        return [(answer, output) for answer, output in found if answer is not None]


def _failure(output: GenerationOutput) -> RuntimeError:
    return RuntimeError(output.error or "transformers gives no reason")
