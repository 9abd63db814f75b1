"""YAML text to plain data that knows where each key stands.

Whatever is wrong with a file becomes a `ConfigError` that names the place; nothing else is raised.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from llem.config.yaml_nodes import Node, YamlComposer
from llem.errors import ConfigError
from llem.files import open_file

MAX_BYTES = 4 * 2**20
_NEWLINE = "\n"
_ADVICE = {
    "mapping values are not allowed": "Text with a colon in it needs quotes; otherwise check the indentation.",
    "could not find expected ':'": "Each line of a mapping is `key: value`.",
    "block end": "Check the indentation: keys of one mapping start in the same column.",
    "did not find expected key": "Check the indentation: keys of one mapping start in the same column.",
    "did not find expected '-'": "Check the indentation: each item of a list starts with `- ` in the same column.",
    "cannot start any token": "Put quotes around the text.",
    "unknown escape": "A backslash in double quotes begins an escape: use single quotes, or write it twice.",
    "quoted scalar": "Close the quotes.",
    "',' or": "Close the bracket, and put commas between the values.",
}


@dataclass(frozen=True)
class Document:
    """A YAML file as plain data.

    Attributes:
        name: the file, as it stands in messages.
        data: the top-level mapping; nothing in it is shared, anchors are copies.
        text: the file as it was read.
    """

    name: str
    data: dict[str, Any]
    text: str = field(repr=False)
    _root: Node = field(repr=False, compare=False)

    def locate(self, key: Sequence[str | int]) -> str:
        """`study.yaml:4:3`: where this key, or the nearest ancestor that is there, stands in the file."""
        node, line, column = self._root, self._root.line, self._root.column
        rest = list(key)
        while rest:
            step = rest[0]
            if isinstance(node.value, dict):
                # A dotted key may stand as one key (`pytorch.batch_size: …`) or as nested ones.
                for taken in range(len(rest), 0, -1):
                    entry = node.value.get(".".join(map(str, rest[:taken])))
                    if entry is not None:
                        line, column, node = entry
                        rest = rest[taken:]
                        break
                else:
                    break
            elif isinstance(node.value, list) and isinstance(step, int) and 0 <= step < len(node.value):
                node = node.value[step]
                line, column = node.line, node.column
                rest = rest[1:]
            else:
                break
        return f"{self.name}:{line}:{column}"


def read_yaml_file(path: Path, *, may_be_empty: bool = False) -> Document:
    """Read a YAML file whose top level is a mapping.

    Args:
        path: the file.
        may_be_empty: take a file without any content as an empty mapping.

    Raises:
        ConfigError: it is missing, a folder, unreadable, not UTF-8, too large, or whatever `read_yaml` refuses.
    """
    try:
        if path.is_dir():
            found = ", ".join(p.name for p in _yaml_files(path)[:5])
            raise ConfigError(
                "a folder stands where a YAML file should be.",
                where=str(path),
                remedy=f"Name the file in it: {found}." if found else "Name a file; no YAML file is in this folder.",
            )
        with open_file(path) as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError("there is no such file.", where=str(path), remedy=_similar_files(path)) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"cannot be read: {reason}.", where=str(path)) from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(raw) <= MAX_BYTES:
            line = raw.count(b"\n", 0, error.start) + 1
            raise ConfigError(
                f"byte 0x{raw[error.start]:02x} is not UTF-8.",
                where=f"{path}:{line}",
                remedy="Save the file as UTF-8; a study is a text file.",
            ) from error
        text = ""
    if len(raw) > MAX_BYTES:
        _refuse_size(str(path))
    return read_yaml(text, str(path), may_be_empty=may_be_empty)


def read_yaml(text: str, name: str, *, may_be_empty: bool = False) -> Document:
    """Read YAML text whose top level is a mapping.

    Args:
        text: the content of the file.
        name: how messages call it.
        may_be_empty: take text without any content as an empty mapping.

    Raises:
        ConfigError: with line and column: not YAML, not a mapping, a key twice, a key that is not text, NaN or infinity,
            a tag, an anchor inside itself, or more than a configuration can sensibly hold.
    """
    root = _compose(text, name)
    if root is None or root.value is None:
        if may_be_empty:
            return Document(name, {}, text, Node({}, 1, 1))
        raise ConfigError(
            "is empty.", where=name, remedy="A study needs at least a model and a backend: `llem init` writes one."
        )
    if not isinstance(root.value, dict):
        kind = "a list" if isinstance(root.value, list) else "a single value"
        raise ConfigError(
            f"the top level is {kind}; it must be a mapping.",
            where=f"{name}:{root.line}:{root.column}",
            remedy="Write lines of the form `key: value` with a space after the colon, such as `backend: pytorch`.",
        )
    return Document(name, _plain(root), text, root)


def read_value(text: str, name: str) -> Any:
    """Read one value, such as `8`, `1e-3`, `[1, 2]` or `text`, by the same rules; empty text is None."""
    try:
        root = _compose(text, name)
    except ConfigError as error:
        # A place inside one value helps nobody.
        raise ConfigError(error.what, where=name, remedy=error.remedy) from error
    return None if root is None else _plain(root)


def _plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: _plain(child) for key, (_, _, child) in node.value.items()}
    return [_plain(child) for child in node.value] if isinstance(node.value, list) else node.value


def _compose(text: str, name: str) -> Node | None:
    if len(text) > MAX_BYTES:
        _refuse_size(name)
    try:
        return YamlComposer(name).run(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(filter(None, (error.context, error.problem))) or "cannot be parsed"
        advice = next((advice for sign, advice in _ADVICE.items() if sign in problem), None)
        if mark and _character_at(text, mark.line, mark.column) == "\t":
            problem, advice = "a tab", "Indent with spaces: YAML does not allow tabs there."
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise ConfigError(f"is not YAML: {problem}.", where=where, remedy=advice) from error
    except yaml.reader.ReaderError as error:
        character = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
        before = text[: max(text.find(chr(character)), 0)]
        raise ConfigError(
            f"is not YAML: the character U+{character:04X} is not allowed.",
            where=f"{name}:{before.count(_NEWLINE) + 1}:{len(before) - before.rfind(_NEWLINE)}",
            remedy="A study is plain text; remove the character, or write it in quotes with an escape.",
        ) from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise ConfigError(f"is not YAML: {' '.join(str(error).split())}.", where=name) from error


def _character_at(text: str, line: int, column: int) -> str:
    lines = text.splitlines()
    return lines[line][column : column + 1] if line < len(lines) else ""


def _refuse_size(name: str) -> NoReturn:
    raise ConfigError(
        f"is larger than {MAX_BYTES // 2**20} MiB.",
        where=name,
        remedy="A study is a short text: vary values in `sweep`, and keep prompts in a file of their own (`dataset.path`).",
    )


def _yaml_files(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.suffix in {".yaml", ".yml"})
    except OSError:
        return []


def _similar_files(path: Path) -> str:
    if not path.parent.is_dir():
        return f"The folder {path.parent} does not exist either."
    files = _yaml_files(path.parent)
    stems = difflib.get_close_matches(path.stem, [p.stem for p in files], n=3, cutoff=0.6)
    near = [p for stem in dict.fromkeys(stems) for p in files if p.stem == stem]
    if near:
        return f"Did you mean {' or '.join(map(str, near))}?"
    return "`llem init` writes a study to start from."
