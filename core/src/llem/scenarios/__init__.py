"""The scenarios that llem brings: each puts a workload to an engine in a way of its own."""
