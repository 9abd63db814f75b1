"""The two sides of `bench.warm_start`: an engine that only imports, and the process launcher of optimum-benchmark."""
