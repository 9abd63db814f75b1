"""Experiments in Docker containers, and the images that they start from."""
