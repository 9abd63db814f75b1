"""The part of a study for publication that follows from its model, its prompts and its batches.

What is the same for every such study stands in `answers.CARE`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from llem.plugin_api import BACKENDS, ExperimentConfig, LlemError, Registry
from llem_hub.availability import availability
from llem_hub.sources import locate_model
from llem_start.answers import CARE, Answers
from llem_start.checking import check

FULL = 0.9
"""The share to which batches have to be filled, as the audit's rule `batches-full` asks."""

PASSES = 20
"""Passes over the prompts for which warm-up has room. A batch is never more than one, and four can be judged."""

TRIES = 4
"""The number of prompts decides how large batches can be, and the sizes of batches decide the number."""

Experiments = Sequence[ExperimentConfig]


def fit_to_audit(answers: Answers, registry: Registry, folder: Path) -> tuple[Answers, Sequence[str]]:
    """Answers with what `llem audit` asks for and only model, prompts and batches tell; and a sentence for each thing left to mend.

    Answers for another care than publication stay as they are, and so does every key that the user gave.

    Raises:
        LlemError: the answers make no study.
    """
    if answers.care != "publication":
        return answers, ()
    experiments = check(answers, registry, folder).experiments
    answers, unpinned = _pinned(answers, registry, folder)
    answers, experiments = _with_full_batches(answers, experiments, registry, folder)
    return _with_room_to_warm_up(answers, experiments), (*unpinned, *_unfilled(experiments, registry))


def _pinned(answers: Answers, registry: Registry, folder: Path) -> tuple[Answers, Sequence[str]]:
    """The model at the commit that it has now, where it comes from the hub and llem loads it."""
    is_served = any("online" in registry.find(BACKENDS, name).capabilities for name in answers.backends)
    if is_served or {"model.source", "model.revision"} & {*answers.vary, *answers.settings}:
        return answers, ()
    if "model" in answers.vary:
        return answers, ["models that vary are not pinned: name a revision for each of them."]
    if locate_model(answers.model, folder).kind != "hub":
        return answers, ()
    found = availability(answers.model, None)
    if found.commit is None:
        why = f" ({found.detail})" if found.detail else ""
        return answers, [f"the hub did not tell the model's commit{why}: set model.revision before the study is run."]
    pin = (found.commit, "its commit of today: `main` may move (audit: model-pinned)")
    return replace(answers, fitted={**answers.fitted, "model.revision": pin}), ()


def _with_full_batches(
    answers: Answers, experiments: Experiments, registry: Registry, folder: Path
) -> tuple[Answers, Experiments]:
    """A number of prompts that fills the batches of every experiment, where nobody gave another number."""
    is_given = answers.prompts is not None or {"dataset", "dataset.n"} & {*answers.vary, *answers.settings}
    if is_given or answers.dataset.endswith(".jsonl"):  # of a file all are taken
        return answers, experiments
    for _ in range(TRIES):
        sizes = _batch_sizes(experiments, registry)
        n = prompts_for(sizes, CARE["publication"].prompts)
        why = f"full batches of {', '.join(map(str, sorted(sizes)))} (audit: batches-full)" if sizes else ""
        tried = replace(answers, fitted={**answers.fitted, "dataset.n": (n, why)})
        try:
            found = check(tried, registry, folder).experiments
        except LlemError:  # the dataset has not so many
            break
        answers, experiments = tried, found
        if _batch_sizes(experiments, registry) == sizes:
            break
    return answers, experiments


def _with_room_to_warm_up(answers: Answers, experiments: Experiments) -> Answers:
    """Prompts enough for warm-up to become steady, whatever the size of batches."""
    sizes = [one.dataset.n for one in experiments if one.measurement.scenario in {"offline", "single_stream"}]
    given = {key for key in (*answers.vary, *answers.settings) if key.startswith("warmup.")}
    if not sizes or given - {"warmup.enabled", "warmup.max_s"}:
        return answers
    room = (PASSES * max(sizes), f"room for {PASSES} passes over the prompts (audit: warm-up)")
    return replace(answers, fitted={**answers.fitted, "warmup.max_prompts": room})


def _unfilled(experiments: Experiments, registry: Registry) -> list[str]:
    """A sentence for each number of prompts and size of batches that the audit would not let pass."""
    pairs = {(one.dataset.n, size) for one in experiments for size in _batch_sizes([one], registry)}
    return [
        f"{n} prompts in batches of {size} fill them to {fill_share(n, size):.0%}, and the audit asks for {FULL:.0%} "
        f"(batches-full): take a multiple of {size}."
        for n, size in sorted(pairs)
        if fill_share(n, size) < FULL
    ]


def _batch_sizes(experiments: Experiments, registry: Registry) -> set[int]:
    """Numbers of requests that run at once, of experiments that run one batch after another."""
    found = set()
    for one in experiments:
        asked = registry.find(BACKENDS, one.backend).batch_size
        size = asked(one.options) if asked is not None and one.measurement.scenario == "offline" else None
        if size is not None:
            found.add(size)
    return found


def fill_share(n: int, size: int) -> float:
    """Mean size of the batches of one pass over `n` prompts, as a share of the largest that there can be."""
    largest = min(n, size)
    return n / (math.ceil(n / largest) * largest)


def prompts_for(sizes: Collection[int], least: int) -> int:
    """The smallest number of prompts from `least` on that fills batches of these sizes: wholly, or as far as the audit asks."""
    whole = math.lcm(*sizes)
    if whole <= 10 * least:
        return math.ceil(least / whole) * whole
    return next(n for n in itertools.count(least) if all(fill_share(n, size) >= FULL for size in sizes))
