"""Traces: recorded arrivals of requests with the lengths of their prompts and answers, as their publishers write them.

from llem_serving.traces import read_trace

trace = read_trace(Path("conversation_trace.jsonl"))
trace.arrival_s, trace.input_tokens, trace.output_tokens
trace.notes                                   # sentences on what was left out or put in order
"""

from __future__ import annotations

from llem_serving.traces.keeping import kept_trace
from llem_serving.traces.pairing import check_rows, is_paired, load_trace
from llem_serving.traces.reading import FORMATS, read_trace
from llem_serving.traces.sharing import prefix_hits
from llem_serving.traces.trace import BLOCK_TOKENS, Trace, TraceRow

__all__ = [
    "BLOCK_TOKENS",
    "FORMATS",
    "Trace",
    "TraceRow",
    "check_rows",
    "is_paired",
    "kept_trace",
    "load_trace",
    "prefix_hits",
    "read_trace",
]
