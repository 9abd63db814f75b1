"""Git by its commands, in the repository of this folder; each failure is one paragraph."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from llem.plugin_api import ConfigError

# What git's own settings would do besides: start a watcher, split the index, ask at a terminal.
_ALWAYS = ("-c", "core.fsmonitor=false", "-c", "core.splitIndex=false", "-c", "core.quotePath=false")
_PATIENCE_S = 600.0


class GitError(ConfigError):
    """A command of git failed."""


class Git:
    """The repository that a folder lies in.

    Args:
        folder: anywhere in its working tree, or the repository itself.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def arguments(self, words: Sequence[str]) -> list[str]:
        """The command line of a command."""
        return ["git", "-C", str(self._folder), *_ALWAYS, *words]

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The variables that a command gets: messages in English, and no questions."""
        return {**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", **(more or {})}

    def run(self, *words: str, data: bytes = b"", more: Mapping[str, str] | None = None) -> bytes:
        """The output of a command. Raises GitError where it fails, ConfigError where there is no git."""
        code, out, said = self._done(words, data, more)
        if code:
            raise GitError(
                f"`git {words[0]}` failed: {_last(said) or f'exit code {code}'}",
                where=str(self._folder.absolute()),
                remedy="git:BRANCH takes the repository of the folder that llem is called in.",
            )
        return out

    def ask(self, *words: str) -> str | None:
        """The output of a command in one line; None where it says no. Raises ConfigError where there is no git."""
        code, out, _ = self._done(words, b"", None)
        return None if code else out.decode(errors="replace").strip()

    def _done(self, words: Sequence[str], data: bytes, more: Mapping[str, str] | None) -> tuple[int, bytes, bytes]:
        try:
            done = subprocess.run(
                self.arguments(words),
                input=data,
                env=self.environment(more),
                capture_output=True,
                check=False,
                timeout=_PATIENCE_S,
            )
        except OSError as error:
            raise no_git(error) from error
        except subprocess.TimeoutExpired as error:
            raise GitError(f"`git {words[0]}` has not ended within {_PATIENCE_S:g} s.") from error
        return done.returncode, done.stdout, done.stderr


def no_git(error: OSError) -> ConfigError:
    """The error where git itself cannot be started."""
    return ConfigError(
        f"a store in a branch takes git, which cannot be started here: {error.strerror or error}.",
        remedy="Install git, or name a folder with --store.",
    )


def _last(said: bytes) -> str:
    lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
    # What follows the first line of git's are hints for its own users.
    return f"{lines[0].removeprefix('fatal: ').removeprefix('error: ').strip().rstrip('.')[:300]}." if lines else ""
