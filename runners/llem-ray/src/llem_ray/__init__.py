"""Runs each experiment of llem as a task on a Ray cluster."""

from __future__ import annotations
