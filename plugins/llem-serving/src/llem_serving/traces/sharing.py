"""Prefixes that requests of a trace share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llem_serving.traces.trace import BLOCK_TOKENS, Trace


def prefix_hits(trace: Trace) -> NDArray[np.int64]:
    """Tokens at the beginning of each prompt whose blocks an earlier prompt had too, in the order of the rows.

    It is what a cache of prefixes that forgets nothing would have found: an upper bound for one that does. A row without hash
    ids shares nothing.
    """
    hits = np.zeros(len(trace), dtype=np.int64)
    seen: set[int] = set()
    for place, ids in enumerate(trace.hash_ids or ()):
        if ids is None:
            continue
        known = 0
        while known < len(ids) and ids[known] in seen:
            known += 1
        hits[place] = min(known * BLOCK_TOKENS, int(trace.input_tokens[place]))
        seen.update(ids)
    return hits
