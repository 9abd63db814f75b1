"""A first study from a few answers: what `llem init` offers, checks and writes. The keys of a study: `llem config`."""
