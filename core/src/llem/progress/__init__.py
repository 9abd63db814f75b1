"""The progress of a running study: plain lines, or a live view that a plugin brings.

`reporter` takes what the study tells and prints it, and `choosing` looks for a view. Nothing here touches an experiment: what is
shown, the study was told anyway.
"""

from __future__ import annotations

from llem.progress.choosing import reporter_for_people
from llem.progress.reporter import TextReporter

__all__ = ["TextReporter", "reporter_for_people"]
