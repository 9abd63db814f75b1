"""A study's report: one page that explains itself, and its figures in paper quality.

    gather(study_dir) -> ReportStudy                 all that a report says, as plain data
    CHARTS["effects"].draw(study) -> Drawn          a Vega-Lite document with its caption, or why there is none
    save(drawn, path, "pdf", "light")                one figure as a file

Gathering and drawing read finished results and run nothing. The heavy libraries are imported where they are used.
"""
