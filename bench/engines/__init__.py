"""The parts of `bench.serving_engines`."""
