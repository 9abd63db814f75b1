"""Every command, also those of plugins, shows how it is used; each line that it shows is one that it takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from llem.cli.group import command_line
from llem.plugins import default_registry

WORDS_AFTER = re.compile(r"\s{2,}\S.*$|\s+#\s.*$")
"""The meaning of an example, after two spaces or a number sign."""


def walk(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Every command with what one types to call it."""
    yield context.command_path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from walk(below, click.Context(below, info_name=name, parent=context))


COMMANDS = dict(walk(command_line, click.Context(command_line, info_name="llem", obj=default_registry())))


def examples(command: click.Command) -> list[str]:
    """The lines under `Examples:`."""
    _, _, after = (command.help or "").partition("Examples:\n")
    return [line.strip() for line in after.split("\n\n")[0].splitlines() if line.strip()]


def calls(line: str) -> Iterator[list[str]]:
    """The words that a shell would give llem: of each `llem …` in a line with pipes, substitutions and redirections."""
    plain = WORDS_AFTER.sub("", re.sub(r'^eval "\$\((.*)\)"', r"\1", line))
    lexer = shlex.shlex(plain, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if not set(word) <= set("();<>|&"):
            words.append(word)
            continue
        if words[:1] == ["llem"]:
            yield words[1:]
        words = []


def parse(words: list[str]) -> click.Context:
    """Let click parse the words down to the last subcommand, without calling it. Raises click.UsageError."""
    context = command_line.make_context("llem", list(words), obj=default_registry())
    while isinstance(context.command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, below, rest = context.command.resolve_command(context, rest)
        assert below is not None
        context = below.make_context(name, rest, parent=context)
    return context


def test_all_commands_are_found() -> None:
    assert {"llem run", "llem init", "llem completion", "llem config schema", "llem plugin new"} <= COMMANDS.keys()
    assert {"llem images", "llem images build"} <= COMMANDS.keys()


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_examples_of_itself_that_it_takes(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = examples(COMMANDS[path])
    assert found, f"`{path} --help` shows no examples"
    assert any(line.startswith(path) or f"({path} " in line for line in found), f"no example calls `{path}`"
    for line in found:
        for words in calls(line):
            for word in words:
                _make(tmp_path, word)
            parse(words)


def _make(folder: Path, word: str) -> None:
    """A file or folder where a word looks like one: some options want it to be there."""
    if re.fullmatch(r"[\w.-]+(/[\w.-]+)*", word) and not word.startswith("-"):
        path = folder / word
        if Path(word).suffix in {".yaml", ".json", ".txt", ".conf", ".pem"}:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        elif "/" in word:
            path.mkdir(parents=True, exist_ok=True)


def test_an_example_that_a_command_does_not_take_is_noticed() -> None:
    with pytest.raises(click.UsageError):
        parse(["run", "study.yaml", "--no-such-option"])
    with pytest.raises(click.UsageError):
        parse(["images", "biuld"])
    assert list(calls("llem plugins --json | jq '.plugins[]'")) == [["plugins", "--json"]]
    assert list(calls('eval "$(llem completion bash)"           for this shell')) == [["completion", "bash"]]
    assert list(calls("llem run a.yaml --set x=1   # a try")) == [["run", "a.yaml", "--set", "x=1"]]
