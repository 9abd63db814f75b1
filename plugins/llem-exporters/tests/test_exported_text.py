"""Text from results and engines: no spreadsheet and no LaTeX is told anything by it."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from llem_exporters.latex import escaped
from llem_exporters.source import Source
from llem_exporters.tables import write_csv


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ('=HYPERLINK("http://x","y")', '\'=HYPERLINK("http://x","y")'),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        (" \n=1", "' \n=1"),
        ("\r=1", "\\u000d=1"),
        ("\uff1d1", "'\uff1d1"),
        ("-1.5e-3", "-1.5e-3"),
        ("bfloat16", "bfloat16"),
        ("a=b", "a=b"),
    ],
)
def test_a_cell_is_no_formula(text: str, cell: str, make_result: Any, write_study: Any) -> None:
    result = make_result()
    result.identity.point["=cmd"] = text
    stream = io.StringIO()
    write_csv(Source(write_study(result)), stream)
    heads, row = list(csv.reader(io.StringIO(stream.getvalue(), newline="")))[:2]
    assert row[heads.index("point.=cmd")] == cell
    assert float(row[heads.index("throughput.tokens_per_s")]) > 0


def test_latex_text_ends_no_line_and_no_comment() -> None:
    assert escaped("a\n\n\\input{x}\x1b") == r"a \textbackslash{}input\{x\}\textbackslash{}u001b"
