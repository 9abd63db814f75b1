"""The dataset `lm_eval`: the questions of a task."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from typing import TYPE_CHECKING

from llem.plugin_api import DatasetError, LoadedDataset, Prompt
from llem_quality.questions import questions_of
from llem_quality.task_file import load_task

if TYPE_CHECKING:
    from llem.plugin_api import DatasetConfig


def load(config: DatasetConfig, base_dir: str) -> LoadedDataset:
    """The first `config.n` questions of the task `config.path`.

    Raises:
        DatasetError: there is no such task, it has fewer questions, or they are to be shuffled or cut.
    """
    if config.input_tokens is not None or config.shuffle:
        key = "dataset.shuffle" if config.shuffle else "dataset.input_tokens"
        raise DatasetError(
            f"{key} is set, and questions of a task are asked whole and in its order.",
            where=key,
            remedy="Leave it out.",
        )
    task = load_task(config.path, base_dir)
    held = len(task.eval_docs)
    if held < config.n:
        raise DatasetError(
            f"the task {task.task_name} has {held:,} questions; {config.n:,} are asked for.",
            where="dataset.n",
            remedy=f"Set it to {held} at most.",
        )
    prompts = [
        Prompt(text=one.prompt, output_tokens=one.output_tokens or config.output_tokens)
        for one in questions_of(task, config.n)
    ]
    documents = json.dumps([*task.eval_docs], sort_keys=True, default=str).encode()
    return LoadedDataset(
        name=config.name,
        provenance=f"task {task.task_name}, version {task.VERSION}, of lm-eval {importlib.metadata.version('lm_eval')}",
        sha256=hashlib.sha256(documents).hexdigest(),
        prompts=prompts,
        available=held,
    )


def how_many(path: str, limit: int | None) -> int:
    """Number of questions of a task, `limit` at most. Raises DatasetError where it cannot be loaded."""
    held = len(load_task(path, ".").eval_docs)
    return held if limit is None else min(held, limit)
