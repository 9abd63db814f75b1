"""What `bench.warm_start` compares: an engine that only imports, and the process launcher of optimum-benchmark."""
