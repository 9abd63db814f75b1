"""A gate's verdict as files for a forge: a summary in Markdown, and JUnit's XML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from llem_analysis.gating import Gate, GatedPair, change_text, verdict_text

_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold."""

_MARKS = {"passed": "✅ passed", "failed": "❌ failed", "undecided": "❔ cannot tell"}


def summary(found: Gate) -> str:
    """Markdown: the verdict, and a row for each configuration."""
    return "\n".join(_summary(found)) + "\n"


def _summary(found: Gate) -> Iterator[str]:
    yield f"### llem gate: {_MARKS[found.verdict]}"
    yield ""
    yield _cell(verdict_text(found))
    yield ""
    yield "| configuration | change (95 % interval) | verdict | |"
    yield "|---|---|---|---|"
    for pair in found.pairs:
        cells = (pair.name, change_text(pair) or "–", _MARKS[pair.verdict], pair.reason or "")
        yield f"| {' | '.join(map(_cell, cells))} |"
    for name in found.missing:
        yield f"| {_cell(name)} | – | {_MARKS['undecided']} | the candidate has not got it |"
    yield ""
    yield from (f"- {_cell(text)}" for text in found.warnings)


def _cell(text: str) -> str:
    """A text that ends neither the cell nor the row that it stands in, and is no markup."""
    return re.sub(r"([\\|<>*_`\[\]])", r"\\\1", " ".join(text.split()))


def junit(found: Gate) -> str:
    """JUnit's XML: a test case for each configuration; one that could not be judged is an error, no failure."""
    suite = ElementTree.Element("testsuite", {"name": f"llem gate {found.metric}"})
    for pair in found.pairs:
        case = _case(suite, found, pair.name)
        if pair.verdict != "passed":
            kind = "failure" if pair.verdict == "failed" else "error"
            said = _message(found, pair)
            ElementTree.SubElement(case, kind, {"message": said, "type": pair.verdict}).text = said
    for name in found.missing:
        said = "the candidate has not got this configuration of the baseline"
        ElementTree.SubElement(_case(suite, found, name), "error", {"message": said, "type": "undecided"}).text = said
    for kind, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
        suite.set(kind, str(sum(1 for _ in suite.iter(tag))))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _case(suite: ElementTree.Element, found: Gate, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(
        suite, "testcase", {"classname": f"llem.gate.{found.metric}", "name": _writable(name)}
    )


def _message(found: Gate, pair: GatedPair) -> str:
    seen = change_text(pair)
    parts = [found.rule, f"seen: {seen}" if seen else "", pair.reason or ""]
    return _writable("; ".join(part for part in parts if part))


def _writable(text: str) -> str:
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)
