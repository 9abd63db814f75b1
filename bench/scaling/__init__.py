"""Studies of 100, 10,000 and 100,000 experiments that do nothing, so that what llem does itself is seen."""
