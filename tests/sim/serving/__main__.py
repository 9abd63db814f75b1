"""Accuracy of the searches over many seeds: `cd tests && python -m sim.serving [seeds] [first seed]`, half a minute for 100."""

from __future__ import annotations

import sys

from sim.serving.searching import REFERENCE, REFERENCE_CAPACITY_RPS, REFERENCE_LEAST_RPS, accuracy

seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
print("capacity    ", accuracy(REFERENCE, REFERENCE_CAPACITY_RPS, range(first, first + seeds), energy=False))
print("least energy", accuracy(REFERENCE, REFERENCE_LEAST_RPS, range(first, first + seeds), energy=True))
