"""docs/reference/messages.md: every message of an error, of a check and of a problem with a study, read out of the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from docs.reference_pages.markdown import document, escaped, table
from llem.errors import LlemError

ROOT = Path(__file__).parents[2]
SOURCES = ("core/src", "plugins/llem-*/src", "runners/llem-*/src")
GAP = "…"
"""Stands for what a message is told at run time."""

TITLES = {
    "configuration": "Configuration",
    "preflight": "Preflight",
    "plugins": "Plugins",
    "results": "Results",
    "models": "Models",
    "datasets": "Datasets",
    "meters": "Meters",
    "running": "Running",
    "docker": "Docker",
    "apptainer": "Apptainer",
    "slurm": "Slurm",
    "ray": "Ray",
}
"""Topic to its heading, here and on the page Troubleshooting."""

INTRODUCTION = f"""Every message that the code of llem and its distributions holds, by topic, with its advice. `{GAP}` stands for names,
places and figures. [Troubleshooting](../troubleshooting.md) explains those that are met most. Not listed are messages that are
wholly another's words, such as an engine's."""


@dataclass(frozen=True, order=True)
class Message:
    """One message.

    Attributes:
        topic: as in `LlemError.topic`.
        text: what is wrong, with `…` for what is filled in.
        remedy: what to do; empty where there is none, or where it is made up at run time.
    """

    topic: str
    text: str
    remedy: str


def page() -> str:
    """The whole page."""
    return document("Messages", INTRODUCTION, _parts(messages()))


def _parts(found: set[Message]) -> Iterator[str]:
    for topic, title in TITLES.items():
        rows = sorted(
            {(m.text, m.remedy) for m in found if m.topic == topic}, key=lambda row: (row[0].lstrip("`" + GAP), *row)
        )
        yield f"## {title}"
        yield f"[What they mean](../troubleshooting.md#{topic})"
        yield table(["message", "what to do"], ([escaped(text), escaped(remedy)] for text, remedy in rows))


def messages() -> set[Message]:
    """Every message in the sources of this repository."""
    files = [f for pattern in SOURCES for f in sorted(ROOT.glob(pattern)) for f in sorted(f.rglob("*.py"))]
    classes, calls = list[ast.ClassDef](), list[tuple[Path, ast.Call]]()
    for file in files:
        if "templates" not in file.parts:
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    classes.append(node)
                elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    calls.append((file, node))
    topics = _topics(classes)
    return {m for file, call in calls for m in _message(call, topics, file)}


def _topics(classes: Sequence[ast.ClassDef]) -> dict[str, str]:
    """Class of error to its topic."""
    topics = {LlemError.__name__: LlemError.topic}
    size = 0
    while size < len(topics):
        size = len(topics)
        for node in classes:
            base = next((b.id for b in node.bases if isinstance(b, ast.Name) and b.id in topics), None)
            if base is not None and node.name not in topics:
                topics[node.name] = _own_topic(node) or topics[base]
    return topics


def _own_topic(node: ast.ClassDef) -> str | None:
    for line in node.body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name) and line.targets[0].id == "topic":
            return ast.literal_eval(line.value) if isinstance(line.value, ast.Constant) else None
    return None


def _message(call: ast.Call, topics: Mapping[str, str], file: Path) -> Iterator[Message]:
    assert isinstance(call.func, ast.Name)
    name, given = call.func.id, {k.arg: k.value for k in call.keywords}
    remedy = _text(given.get("remedy"))
    if name in topics and call.args:
        topic, text = topics[name], _text(call.args[0])
    elif name == "Finding" and _text(given.get("level")) in ("error", "warning"):
        runner = next((t for t in ("docker", "apptainer", "slurm", "ray") if f"llem_{t}" in file.parts), "preflight")
        topic, text = runner, _text(given.get("message"))
    elif name == "Problem":
        topic, text = "configuration", _text(given.get("message"))
        text = f"`{GAP}` {text}" if text else ""
    else:
        return
    if any(c.isalpha() for c in text.replace(GAP, "")):
        yield Message(topic, text, remedy)


def _text(node: ast.expr | None) -> str:
    """A literal's text with `…` for what is filled in; nothing where it is no literal."""
    if isinstance(node, ast.Constant):
        return str(node.value) if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        parts = [str(v.value) if isinstance(v, ast.Constant) else GAP for v in node.values]
        return "".join(parts).strip()
    if isinstance(node, ast.BinOp):
        return f"{_text(node.left)}{_text(node.right)}"
    return ""
