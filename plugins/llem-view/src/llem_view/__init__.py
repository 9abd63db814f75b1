"""A live view of a running study, on a terminal and in a notebook.

`live` takes what the study tells, `state` keeps it, `frame` lays it out for a width and height, and `screen` or `notebook` puts that
below whatever else is printed. Nothing here touches an experiment: what is shown, the study was told anyway.
"""
