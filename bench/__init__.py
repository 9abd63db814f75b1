"""Comparisons, each one command: `python -m bench.NAME [--quick] [--json FILE]`."""
