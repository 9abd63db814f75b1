"""Names of what the sampling process writes into a job directory. It starts with each experiment, and loads no more than it needs."""

EVENTS = "events.jsonl"
POWER = "power"
"""The one kind of event that is no sign of life of the worker: another process tells it."""
READINGS = "readings.jsonl"
"""Raw readings, streamed by the sampling process while it runs; folded into `timeseries.parquet` at the end."""
