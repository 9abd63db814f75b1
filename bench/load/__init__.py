"""The parts of `bench.load_generator`: a server that knows the truth, the tools that put load to it, and the judge of both."""
