"""Warm starts: workers of the local runner, forked from a process that has imported the engine."""
