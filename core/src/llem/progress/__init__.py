"""The progress of a running study: a view that lives on a terminal, plain lines everywhere else.

`reporter` takes what the study tells, `state` keeps it, `frame` lays it out for a width and height, and `screen` puts that
below whatever else is printed. Nothing here touches an experiment: what is shown, the study was told anyway.
"""

from __future__ import annotations

from llem.progress.reporter import TextReporter

__all__ = ["TextReporter"]
