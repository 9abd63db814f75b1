"""A small workload for whole experiments on simulated cards, as values for --set."""

from __future__ import annotations

SETTINGS = {
    "dataset.name": "synthetic",
    "dataset.input_tokens": 8,
    "dataset.n": 4,
    "dataset.output_tokens": 10,
    "measurement.min_window_s": 1,
    "measurement.settle_s": 0,
    "measurement.samplers": '["nvml"]',
    "warmup.enabled": "false",
    "baseline.enabled": "false",
}
"""The window may be longer than asked: it holds 50 update periods of the counter, as they were seen before it opens."""
