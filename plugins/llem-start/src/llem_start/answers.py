"""The answers that a study is made of."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from llem_start.template import EXAMPLE_MODEL

Care = Literal["quick", "publication"]


@dataclass(frozen=True)
class Measures:
    """The settings of a study by how carefully it measures.

    Attributes:
        about: what such figures are good for, one line.
        prompts: how many, where the user says nothing.
        output_tokens: likewise.
        settings: dotted key to its value and why it is that.
        head: further lines above the study.
    """

    about: str
    prompts: int
    output_tokens: int
    settings: Mapping[str, tuple[Any, str]]
    head: Sequence[str] = ()


CARE: Mapping[Care, Measures] = {
    "quick": Measures(
        about="a quick look: short windows and pauses, once each; not for publication",
        prompts=16,
        output_tokens=32,
        settings={
            "measurement.min_window_s": (5, "the shortest that a GPU's energy counter allows; 60 for publication"),
            "baseline.duration_s": (10, "of idle power; 30 is better"),
            "execution.cycles": (1, "once each: no interval and no test; 3 or more give both"),
            "execution.experiment_gap_s": (5, "to cool down; 30 is better"),
        },
    ),
    "publication": Measures(
        about="for publication: long windows, pauses to cool down, repeated in shuffled order",
        prompts=100,
        output_tokens=128,
        settings={
            "measurement.min_window_s": (60, "as MLPerf Power asks (audit: window)"),
            "warmup.enabled": (True, "what is cold is not what runs all day (audit: warm-up)"),
            "warmup.max_s": (300, "to become steady; it ends as soon as it is (audit: warm-up)"),
            "baseline.enabled": (True, "what the machine takes without the work (audit: baseline)"),
            "baseline.duration_s": (30, "of idle power: enough to see whether it is steady (audit: baseline-steady)"),
            "execution.cycles": (5, "3 give an interval; more make it narrower (audit: cycles)"),
            "execution.order": ("shuffled", "so that drift falls on all alike (audit: order)"),
            "execution.parallel": ("none", "side by side they would share CPU and memory (audit: undisturbed)"),
            "execution.allow_shared": (False, "another llem would be other load (audit: undisturbed)"),
            "execution.experiment_gap_s": (30, "to cool down (audit: throttling)"),
            "execution.cycle_gap_s": (120, "likewise, between cycles"),
        },
        head=(
            "# `(audit: RULE)` names the rule of `llem audit` for which a key stands here; docs/audit.md explains them. Before it",
            "# runs: commit this file, end all else on the machine, and see by `llem doctor` that a meter works.",
        ),
    ),
}
"""The settings of each degree of care."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The user's answers, or their defaults.

    Attributes:
        backends: by name, one or more; several are compared.
        model: as `model.source`.
        dataset: a dataset's name, or a `.jsonl` file.
        prompts: how many; None for what `care` suggests.
        output_tokens: likewise.
        input_tokens: how many of each prompt; None for all that it has.
        vary: dotted key to its values, a list or a range such as `{"pow2": [1, 64]}`.
        care: how carefully to measure.
        settings: dotted key to the value of any other key; `name` too.
        fitted: dotted key to its value and why it is that, of what follows from model, prompts and batches; settings win.
    """

    backends: tuple[str, ...]
    model: str = EXAMPLE_MODEL
    dataset: str = "aienergyscore"
    prompts: int | None = None
    output_tokens: int | None = None
    input_tokens: int | None = None
    vary: Mapping[str, Any] = field(default_factory=dict)
    care: Care = "quick"
    settings: Mapping[str, Any] = field(default_factory=dict)
    fitted: Mapping[str, tuple[Any, str]] = field(default_factory=dict)

    @property
    def sweep(self) -> dict[str, Any]:
        """The axes, with the backends as the first where there are several."""
        return ({"backend": list(self.backends)} if len(self.backends) > 1 else {}) | dict(self.vary)

    @property
    def name(self) -> str:
        """The study's name: as given, else of what it varies."""
        if "name" in self.settings:
            return str(self.settings["name"])
        words = [key.rpartition(".")[2] for key in self.sweep]
        return "-and-".join(words)[:100].rstrip("-") or "first-look"


def seen_from(folder: Path, text: str) -> str:
    """A model or dataset as a study in `folder` has to name it: a path that is typed starts from the current folder."""
    if text.startswith(("pkg:", "random:", "~", "/")) or folder.absolute() == Path.cwd():
        return text
    is_path = text.startswith(("./", "../")) or text.endswith((".gguf", ".jsonl")) or Path(text).exists()
    moved = os.path.relpath(text, folder)
    return text if not is_path else moved if moved.startswith("..") else f"./{moved}"
