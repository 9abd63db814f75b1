"""Accuracy beside energy: tasks of lm-evaluation-harness, asked of the engine that a study measures."""
