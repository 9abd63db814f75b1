"""Experiments in Docker containers, and the images that they start from.

Importing this package and its plugins does not import the docker SDK.
"""
