"""The dataset `trace`: a prompt for each row of a recorded trace, as long as it was, with an answer of the recorded length.

Prompts share the prefixes that the recorded ones shared, where the trace tells them (Mooncake's hash ids). Answers have the recorded
length exactly where `decoding.length` is fixed, and at most that length where it is natural; `dataset.output_tokens` has no say.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llem.plugin_api import Caveat, DatasetError, LoadedDataset, Piece, Prompt
from llem_serving.datasets.trace_prompts import trace_pieces
from llem_serving.traces import Trace, kept_trace, prefix_hits

if TYPE_CHECKING:
    from llem.plugin_api import DatasetConfig


def load(config: DatasetConfig, base_dir: str) -> LoadedDataset:
    """The first `config.n` rows in the order of their times, or with `shuffle` a seeded random draw of them.

    Prompts are cut to `config.input_tokens` where it is set, and it is told how many.

    Raises:
        DatasetError: no file, one that is no trace, or too few rows.
    """
    if config.path is None:
        raise DatasetError(
            "a dataset of a trace needs the path of its file.",
            where="dataset.path",
            remedy="Set it to a file of Mooncake's, BurstGPT's or Azure's form.",
        )
    trace = kept_trace(Path(base_dir, Path(config.path).expanduser()))
    if len(trace) < config.n:
        raise DatasetError(
            f"the trace {trace.name} has {len(trace):,} rows that can be asked; {config.n:,} are asked for.",
            where="dataset.n",
            remedy=f"Set it to {len(trace)} at most.",
        )
    rows: Sequence[int] = range(config.n)
    if config.shuffle:
        rows = random.Random(config.seed).sample(range(len(trace)), config.n)
    most = config.input_tokens
    prompts = [
        Prompt(
            pieces=_cut(trace_pieces(trace, row, config.seed), most),
            output_tokens=int(trace.output_tokens[row]),
        )
        for row in rows
    ]
    return LoadedDataset(
        name=config.name,
        provenance=_provenance(trace, config),
        sha256=trace.sha256,
        prompts=prompts,
        available=len(trace),
        caveats=_caveats(trace, rows, most),
    )


def _cut(pieces: Sequence[Piece], most: int | None) -> tuple[Piece, ...]:
    """The beginning of a prompt, of so many tokens at the most."""
    if most is None:
        return tuple(pieces)
    kept, left = [], most
    for piece in pieces:
        if left <= 0:
            break
        kept.append(Piece(min(piece.tokens, left), piece.seed))
        left -= piece.tokens
    return tuple(kept)


def _provenance(trace: Trace, config: DatasetConfig) -> str:
    told = f"lengths of {trace.name} ({trace.format}), random token ids made by llem, seed {config.seed}"
    if trace.hash_ids is None or config.shuffle or config.input_tokens is not None:
        return told
    share = prefix_hits(trace)[: config.n].sum() / trace.input_tokens[: config.n].sum()
    return f"{told}; {share:.1%} of prompt tokens repeat the beginning of an earlier prompt"


def _caveats(trace: Trace, rows: Sequence[int], most: int | None) -> list[Caveat]:
    notes = list(trace.notes)
    if most is not None and (cut := sum(int(trace.input_tokens[row]) > most for row in rows)):
        notes.append(f"{cut:,} of {len(rows):,} prompts of the trace {trace.name} were cut to {most:,} tokens.")
    return [Caveat("dataset_changed", " ".join(notes))] if notes else []
