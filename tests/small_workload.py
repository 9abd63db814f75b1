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
"""NVML's counters are taken to need a window of 5 s, whatever is asked."""
