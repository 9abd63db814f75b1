"""Experiments in Apptainer containers."""
