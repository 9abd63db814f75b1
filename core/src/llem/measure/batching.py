"""The batches of the window: how large they were, and how large the study asked for.

The last batch of a pass is rarely full, and an engine that schedules by itself runs fewer requests while a pass ramps up
and drains. Both lie in the window, so that a curve over batch sizes would rest on the number of prompts: the mean is told,
and below `FULL` of what was asked for a warning says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llem.results.models import Batching
from llem.specs.caveat import Caveat
from llem.specs.scenario import Answer

FULL = 0.9
"""Batches that are filled to less than this share, on average, are not those that the study asked for."""

RUNNING_MEAN = "running_mean"
"""Name under which an engine that schedules by itself counts the mean number of requests running (`ReportsMetrics`)."""


def batching(answers: Sequence[Answer], asked: int | None, metrics: Mapping[str, float]) -> Batching:
    """Sizes of the batches as they ran.

    Args:
        answers: the window's batches.
        asked: the most requests at once that the backend's section asks for; None where it says nothing of it.
        metrics: what the engine counted itself.
    """
    sizes = [len(answer.requests) for answer in answers]
    most = max(sizes)
    size = None if asked is None else min(asked, most)
    if size == 1:
        return _told(1, 1.0, "batches", len(sizes))
    if (running := metrics.get(RUNNING_MEAN)) is not None and running > 0:
        return _told(size, running, "engine", len(sizes))
    if asked is not None and most > asked:
        # The engine takes its requests one by one, so that the size of what it was given says nothing.
        running = running_mean(answers, asked)
        return _told(size, running, None if running is None else "requests", len(sizes))
    return _told(size, sum(sizes) / len(sizes), "batches", len(sizes))


def running_mean(answers: Sequence[Answer], asked: int) -> float | None:
    """Requests under way, on average over the batches, by the engine's own starts and ends.

    None where more of them overlap than may run at once: then their starts are those of a queue.
    """
    busy = total = 0
    for answer in answers:
        edges = sorted([(r.start_ns, 1) for r in answer.records] + [(r.end_ns, -1) for r in answer.records])
        under_way = 0
        for _, step in edges:
            under_way += step
            if under_way > asked:
                return None
        busy += sum(r.end_ns - r.start_ns for r in answer.records)
        total += answer.returned_ns - answer.released_ns
    return busy / total if busy and total else None


def batching_caveats(found: Batching, passes: int, per_pass: int) -> list[Caveat]:
    """A caveat where batches were not full.

    Args:
        found: of the window.
        passes: how often the workload ran.
        per_pass: requests of one pass.
    """
    if found.fill_share is None or found.fill_share >= FULL or found.mean_size is None:
        return []
    if found.source == "batches":
        count = f"{found.batches // passes:,} batches of a pass hold {per_pass:,} requests"
        remedy = f"Take a dataset.n that is a multiple of {found.requested_size}, or larger."
    else:
        count = f"a pass of {per_pass:,} requests ramps up and drains"
        remedy = f"Take a larger dataset.n than {per_pass:,}, so that ramp and drain weigh less."
    return [
        Caveat(
            "batch_fill",
            f"{found.mean_size:.3g} requests ran together on average where the study asks for {found.requested_size}, "
            f"{found.fill_share:.0%} of it: {count}. Figures by batch size are those of the mean, not of the size asked for. {remedy}",
        )
    ]


def _told(size: int | None, mean: float | None, source: str | None, count: int) -> Batching:
    fill = mean / size if mean is not None and size else None
    return Batching.model_validate(
        {"requested_size": size, "mean_size": mean, "fill_share": fill, "source": source, "batches": count}
    )
