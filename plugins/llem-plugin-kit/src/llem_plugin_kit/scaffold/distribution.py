"""Writes a plugin's distribution from the templates beside this module."""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
from importlib import resources
from pathlib import Path
from string import Template

from llem.plugin_api import ConfigError
from llem_plugin_kit.scaffold.names import Names

_COMMON = {
    "pyproject.toml": "common/pyproject.toml.txt",
    "README.md": "common/README.md.txt",
    "LICENSE": "common/LICENSE.txt",
    ".gitignore": "common/gitignore.txt",
    ".github/workflows/ci.yml": "common/ci.yml.txt",
    "src/{package}/__init__.py": "common/init.py.txt",
    "src/{package}/py.typed": None,
}
"""Path in the distribution to its template; None is an empty file."""

_MORE = {"backend": {"src/{package}/image/Dockerfile": "backend/Dockerfile.txt"}}
"""The same, of what one kind has beside its plugin and its implementation."""

IMPLEMENTATION = {"backend": "engine.py", "runner": "runner.py", "sampler": "sampler.py", "check": "check.py"}
"""The file that an author replaces by their own, in the package."""

_FURTHER = {"backend": "backend/README.md.txt"}
"""Further part of the README of one kind."""

_SUMMARIES = {
    "backend": "a model of bytes with random weights, in plain Python",
    "runner": "a process on this machine at lower priority",
    "sampler": "what the board says it draws, by the kernel's ACPI power meter",
    "check": "no memory is swapped out",
}

USAGE = {
    "backend": "llem run --backend {word} --model random:tiny-llama -n 4 --output-tokens 32",
    "runner": "llem run study.yaml --runner {word}:5",
    "sampler": "llem run study.yaml --set 'measurement.samplers=[\"{word}\"]'",
    "check": "llem doctor",
}
"""The command that uses a new plugin."""


def contents(names: Names) -> dict[str, str]:
    """Every file of the distribution: its path to its text."""
    kind = names.kind
    templates: dict[str, str | None] = {
        **_COMMON,
        **_MORE.get(kind, {}),
        "src/{package}/plugin.py": f"{kind}/plugin.py.txt",
        f"src/{{package}}/{IMPLEMENTATION[kind]}": f"{kind}/{IMPLEMENTATION[kind]}.txt",
        "tests/test_{module}.py": f"{kind}/test.py.txt",
    }
    summary = _SUMMARIES[kind]
    values = {
        "name": names.name,
        "distribution": names.distribution,
        "package": names.package,
        "word": names.word,
        "prefix": names.prefix,
        "kind": kind,
        "summary": summary,
        "summary_sentence": f"A {kind} for llem: {summary}.",
        "usage": USAGE[kind].format(word=names.word),
        "variable": f"{names.package.removeprefix('llem_').upper()}_HWMON",
        "llem_version": importlib.metadata.version("llem"),
    }
    values["further"] = Template(_read(_FURTHER[kind])).substitute(values) if kind in _FURTHER else ""
    files = {}
    for path, template in templates.items():
        text = "" if template is None else _read(template)
        filled = text if template == "common/LICENSE.txt" else Template(text).substitute(values)
        files[path.format(package=names.package, module=names.package.removeprefix("llem_"))] = filled
    return files


def write(names: Names, directory: Path) -> tuple[Path, list[str]]:
    """Write the distribution into a new folder below `directory`, all of it or nothing.

    Returns:
        The folder, and the paths of its files within it.

    Raises:
        ConfigError: the folder is there and holds something, or cannot be written.
    """
    target = directory / names.distribution
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(
            "it exists, and nothing of it is overwritten.",
            where=str(target),
            remedy="Choose another name or --directory, or move it away.",
        )
    files = contents(names)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(prefix=f".{names.distribution}-", dir=directory))
    except OSError as error:
        raise _unwritable(directory, error) from error
    try:
        half.chmod(0o755)
        for path, text in files.items():
            file = half / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        half.replace(target)  # an empty folder gives way; one that has filled up meanwhile does not
    except OSError as error:
        shutil.rmtree(half, ignore_errors=True)
        raise _unwritable(target, error) from error
    return target, sorted(files)


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"it cannot be written: {error.strerror or error}.",
        where=str(path),
        remedy="Name a folder that can be written with --directory.",
    )


def _read(template: str) -> str:
    return (
        resources.files("llem_plugin_kit.scaffold")
        .joinpath("templates", *template.split("/"))
        .read_text(encoding="utf-8")
    )
