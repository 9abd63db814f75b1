"""Arithmetic over results that showing, stopping and resuming need: means, intervals, comparability, selection.

Pure functions over rows and numbers; a study's analysis, of the distribution llem-analysis, builds on them.
"""
