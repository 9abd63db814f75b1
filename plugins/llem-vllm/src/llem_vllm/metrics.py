"""The counts that vLLM keeps on its own account, gathered step by step."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from vllm.v1.metrics.loggers import AggregateStatLoggerBase


class StepCounter(AggregateStatLoggerBase):  # type: ignore[misc]
    """A logger of vLLM that adds up instead of printing, over all its engines.

    vLLM makes it, and calls `record` once for each step that has something to say.
    """

    def __init__(self, vllm_config: Any = None, engine_indexes: Any = None) -> None:
        # Under load the window is opened and closed by another thread than the one in which vLLM counts.
        self._lock = threading.Lock()
        self.reset()

    @classmethod
    def only(cls, engine: Any) -> StepCounter:
        """The counter that an engine made, after taking its other loggers off: they cost work in each step, unread."""
        manager = engine.logger_manager
        counter: StepCounter = next(one for one in manager.stat_loggers if isinstance(one, cls))
        manager.stat_loggers = [counter]
        return counter

    def reset(self) -> None:
        """Count afresh from here."""
        with self._lock:
            self._steps = 0
            self._cache_sum = self._cache_peak = 0.0
            self._running_sum = self._running_peak = self._waiting_peak = 0
            self._preemptions = 0
            self._queried = self._hits = 0
            self._drafts = self._drafted = self._accepted = 0
            self._queued: list[float] = []
            self._prefilled: list[float] = []

    def record(
        self, scheduler_stats: Any, iteration_stats: Any, mm_cache_stats: Any = None, engine_idx: int = 0
    ) -> None:
        """Take over one step's counts."""
        with self._lock:
            if scheduler_stats is not None:
                self._steps += 1
                self._cache_sum += scheduler_stats.kv_cache_usage
                self._cache_peak = max(self._cache_peak, scheduler_stats.kv_cache_usage)
                self._running_sum += scheduler_stats.num_running_reqs
                self._running_peak = max(self._running_peak, scheduler_stats.num_running_reqs)
                self._waiting_peak = max(self._waiting_peak, scheduler_stats.num_waiting_reqs)
                self._queried += scheduler_stats.prefix_cache_stats.queries
                self._hits += scheduler_stats.prefix_cache_stats.hits
                if (drafted := scheduler_stats.spec_decoding_stats) is not None:
                    self._drafts += drafted.num_drafts
                    self._drafted += drafted.num_draft_tokens
                    self._accepted += drafted.num_accepted_tokens
            if iteration_stats is not None:
                self._preemptions += iteration_stats.num_preempted_reqs
                for request in iteration_stats.finished_requests:
                    self._queued.append(request.queued_time)
                    self._prefilled.append(request.prefill_time)

    def log_engine_initialized(self) -> None:
        """Nothing to say."""

    def figures(self) -> Mapping[str, float]:
        """The counts since the last reset, by name; a share is of 1, a time is in seconds."""
        with self._lock:
            return self._figures()

    def _figures(self) -> Mapping[str, float]:
        if not self._steps:
            return {}
        found = {
            "steps": float(self._steps),
            "kv_cache_use_mean": self._cache_sum / self._steps,
            "kv_cache_use_peak": self._cache_peak,
            "running_mean": self._running_sum / self._steps,
            "running_peak": float(self._running_peak),
            "waiting_peak": float(self._waiting_peak),
            "preemptions": float(self._preemptions),
            "prefix_cache_queried_tokens": float(self._queried),
            "prefix_cache_hit_tokens": float(self._hits),
        }
        if self._queried:
            found["prefix_cache_hit_share"] = self._hits / self._queried
        if self._queued:
            found["queue_mean_s"] = sum(self._queued) / len(self._queued)
            found["queue_max_s"] = max(self._queued)
            found["prefill_mean_s"] = sum(self._prefilled) / len(self._prefilled)
        if self._drafts:
            found["drafted_tokens"] = float(self._drafted)
            found["accepted_draft_tokens"] = float(self._accepted)
            found["draft_acceptance_share"] = self._accepted / self._drafted if self._drafted else 0.0
        return found
