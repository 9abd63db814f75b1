"""Prompts of a load: made to the lengths of a trace, with a shared prefix of an exact share, or the turns of conversations.

from llem_serving.datasets import next_prompt, read_conversations, shared_prefix, trace_prompts

trace_prompts(trace, vocab_size, special_token_ids, seed)[0]    # token ids
shared_prefix(total_tokens, share, n, seed)[0]                  # pieces, for `piece_ids`
next_prompt(session, turn, answers)                             # messages
"""

from __future__ import annotations

from llem.plugin_api import Piece
from llem_serving.datasets.conversations import Conversations, read_conversations
from llem_serving.datasets.pieces import ordinary_ids, piece_ids
from llem_serving.datasets.sessions import Session, Turn, next_prompt
from llem_serving.datasets.shared_prefix import shared_prefix
from llem_serving.datasets.trace_prompts import TracePrompts, trace_pieces, trace_prompts

__all__ = [
    "Conversations",
    "Piece",
    "Session",
    "TracePrompts",
    "Turn",
    "next_prompt",
    "ordinary_ids",
    "piece_ids",
    "read_conversations",
    "shared_prefix",
    "trace_pieces",
    "trace_prompts",
]
