"""Mooncake's trace: JSON Lines, one request a line.

Fields: `timestamp` (ms), `input_length`, `output_length` (tokens), `hash_ids` (one for each block of 512 tokens of the
prompt, the last block included though it may be shorter). Source: kvcache-ai/Mooncake, FAST25-release, its README and traces.
"""

from __future__ import annotations

import json
from typing import Any

from llem_serving.traces.fields import time_ns, tokens_of
from llem_serving.traces.row_parser import ParsedRow
from llem_serving.traces.trace import BLOCK_TOKENS

_MILLISECOND_NS = 1_000_000


def parse_row(line: str) -> ParsedRow:
    """One request. `hash_ids` may be missing. See `RowParser`."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON ({error})") from error
    if not isinstance(record, dict):
        raise ValueError("it is no JSON object")
    for name in ("timestamp", "input_length", "output_length"):
        if name not in record:
            raise ValueError(f"{name} is missing")
    length = tokens_of(_unquoted(record["input_length"], "input_length"), "input_length")
    return (
        time_ns(_unquoted(record["timestamp"], "timestamp"), "timestamp", _MILLISECOND_NS),
        length,
        tokens_of(_unquoted(record["output_length"], "output_length"), "output_length"),
        _hash_ids(record.get("hash_ids"), length),
    )


def _unquoted(value: Any, name: str) -> Any:
    if isinstance(value, str):
        raise ValueError(f"{name} is no number but str")
    return value


def _hash_ids(value: Any, length: int) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or any(type(one) is not int or one < 0 for one in value):
        raise ValueError("hash_ids is no list of whole numbers from 0 on")
    blocks = -(-length // BLOCK_TOKENS)
    if len(value) != blocks:
        raise ValueError(
            f"it has {len(value):,} hash_ids where an input_length of {length:,} makes {blocks:,} blocks of {BLOCK_TOKENS} tokens"
        )
    return tuple(value)
