"""transformers' continuous batching: requests join and leave at every step."""

from __future__ import annotations

import gc
import itertools
import threading
import time
from collections.abc import Mapping
from typing import Any

import transformers
from transformers.generation.configuration_utils import ContinuousBatchingConfig

from llem.plugin_api import LlemError
from llem_pytorch.serving.counts import ServerCounts
from llem_pytorch.serving.step_router import StepRouter
from llem_pytorch.serving.streamed_answer import StreamedAnswer

_END_S = 30.0
"""A step that is under way is waited for so long when the server closes."""


class ContinuousServer:
    """Answers every request as it comes, as far as cache and steps have room. An `AnswerServer`.

    transformers' thread computes; an error in a step ends the requests that are under way, and the next one starts anew.

    Args:
        model: transformers' model; its attention may be switched to the paged kind while the server lives.
        arguments: of `ContinuousBatchingConfig`.
        generation: of `GenerationConfig`.

    Raises:
        ValueError, TypeError, AttributeError, KeyError: transformers has no continuous batching for this model.
        MemoryError, torch.OutOfMemoryError: the cache does not fit.
    """

    def __init__(self, model: Any, arguments: Mapping[str, Any], generation: Mapping[str, Any]) -> None:
        self._lock, self._closed = threading.Lock(), False
        self._counts = ServerCounts()
        self._numbers = itertools.count()
        self._model, self._attention = model, model.config._attn_implementation
        if not model._supports_attention_backend:
            # Bloom, for one, would run, see no token before the last, and answer nonsense.
            raise ValueError(
                "its attention does not go through transformers' interface of kernels, nor through a paged cache"
            )
        self._manager = model.init_continuous_batching(
            generation_config=transformers.GenerationConfig(**generation),  # type: ignore[no-untyped-call]
            continuous_batching_config=ContinuousBatchingConfig(**arguments),
        )
        self._router = self._manager.output_router = StepRouter(self._counts, self._waiting)
        try:
            self._manager.warmup()  # allocates the cache, and captures graphs where there are any
            self._manager.start()
        except BaseException:
            self.close()
            raise

    @property
    def effective(self) -> Mapping[str, Any]:
        """The settings of continuous batching that are in force."""
        config = self._manager.continuous_batching_config
        names = ("page_size", "num_blocks", "max_batch_tokens", "max_requests_per_batch", "scheduler_type")
        found = {name: getattr(config, name) for name in (*names, "use_async_batching")}
        found["use_cuda_graph"] = any(config.cuda_graph_booleans)
        found["prefix_sharing"] = bool(self._manager.batch_processor.cache.use_prefix_sharing)
        return found

    @property
    def capacity(self) -> int:
        """Tokens of one request, prompt and answer, that the cache holds."""
        config = self._manager.continuous_batching_config
        return int(config.num_blocks * config.page_size)

    def submit(self, answer: StreamedAnswer) -> None:
        """See `AnswerServer.submit`. Raises LlemError for a request that the cache can never hold."""
        tokens = len(answer.prompt) + answer.request.output_tokens
        if tokens > self.capacity:
            # transformers would end every request that is under way.
            raise LlemError(
                f"a prompt with its answer has {tokens:,} tokens, the cache of continuous batching holds {self.capacity:,}.",
                where="pytorch.continuous_batching.num_blocks",
                remedy="Raise it, or set dataset.input_tokens and dataset.output_tokens so that they fit.",
            )
        with self._lock:
            if self._closed:
                raise RuntimeError("the engine is closed")
            # An error may end the thread between the look at it and the request: the second time it runs anew.
            if not (self._submit(answer) or self._submit(answer)):
                error = self._manager.background_thread_status.fatal_error
                raise RuntimeError(f"transformers' continuous batching takes no requests: {error or 'it is ending'}")

    def cancel(self, answer: StreamedAnswer) -> None:
        """See `AnswerServer.cancel`. Its place in the cache is free before the next step."""
        answer.give_up()
        if (request_id := self._router.forget(answer)) is not None:
            self._manager.cancel_request(request_id)

    def metrics(self, *, reset: bool = False) -> Mapping[str, float]:
        """See `AnswerServer.metrics`."""
        return self._counts.figures(reset=reset)

    def close(self) -> None:
        """See `AnswerServer.close`. The model gets its own attention back."""
        with self._lock:
            self._closed = True
        # transformers collects garbage over and over as its manager ends, each time through everything that was ever imported:
        # seconds of an interrupted run. The engine's own collection finds what is left of the model.
        gc.freeze()
        try:
            if self._manager.is_running():
                self._manager.stop(block=True, timeout=_END_S, hard_stop=True)
            self._manager.batch_processor = None  # holds the cache
            self._manager.destroy()
        finally:
            gc.unfreeze()
        self._router.fail_all(RuntimeError("the engine was closed"))  # transformers drops what it has not yet looked at
        if self._model.config._attn_implementation != self._attention:
            self._model.set_attn_implementation(self._attention)

    def _submit(self, answer: StreamedAnswer) -> bool:
        """Hand a request over. False where the thread takes none."""
        self._run()
        request_id = str(next(self._numbers))
        self._router.expect(request_id, answer)
        taken = self._manager.add_request(
            list(answer.prompt),
            request_id=request_id,
            max_new_tokens=answer.request.output_tokens,
            streaming=True,
            eos_token_id=sorted(answer.end_ids) or -1,
        )
        if taken is None:
            self._router.forget(answer)
        return taken is not None

    def _run(self) -> None:
        """Start transformers' thread where an error has ended it; one that is still ending is waited for."""
        # It takes none from the error on, and records the error only when all requests have theirs.
        if self._manager.background_thread_status.can_accept_new_requests() is not None:
            self._manager.join(time.perf_counter(), timeout=_END_S)
        if not self._manager.is_running():
            self._manager.start()

    def _waiting(self) -> int:
        processor = self._manager.batch_processor
        return 0 if processor is None else len(processor.scheduler.waiting_requests)
