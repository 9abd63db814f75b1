"""The prompts that the tiny models are asked."""

SENTENCES = (
    "the quick brown fox jumps over the lazy dog",
    "a long time ago there was a small house at the edge of a dark wood",
    "numbers such as 17 and 42 are counted one after another",
    "what is the energy of one token, and who pays for it?",
)
PROMPTS = tuple(" ".join((SENTENCES[i % 4], "and then " * (i % 7), f"number {i}")) for i in range(16))
"""Sixteen prompts of quite different lengths."""
