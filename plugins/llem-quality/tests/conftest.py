"""Tasks of lm-evaluation-harness in files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

WriteTask = Callable[..., Path]

TASK: Mapping[str, Any] = {
    "task": "echoes",
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": "echoes.jsonl"}},
    "test_split": "test",
    "output_type": "generate_until",
    "doc_to_text": "say {{word}}:",
    "doc_to_target": "{{word}}",
    "generation_kwargs": {"until": [" t2"], "max_gen_toks": 4},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    "metadata": {"version": 3},
}


@pytest.fixture
def write_task(tmp_path: Path) -> WriteTask:
    """Writes a task's file with its data beside it; takes the words that are right, and what the file says otherwise."""

    def write(words: Sequence[str], **changes: Any) -> Path:
        folder = tmp_path / "tasks"
        folder.mkdir(exist_ok=True)
        (folder / "echoes.jsonl").write_text("".join(json.dumps({"word": word}) + "\n" for word in words))
        (folder / "echoes.yaml").write_text(json.dumps({**TASK, **changes}))  # JSON is YAML
        return folder / "echoes.yaml"

    return write
