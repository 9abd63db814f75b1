"""A file that a meter writes, as an energy sampler of llem."""
