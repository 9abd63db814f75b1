"""A server whose service times, batching and power are known: a process behind a socket, what it did, and what it had to do."""

from __future__ import annotations

MODEL = "simulated"
"""The name by which it is asked."""
