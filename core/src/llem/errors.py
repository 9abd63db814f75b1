"""Every error that a user can cause, each with the exit code that the command line ends with.

An error reads as one paragraph: what is wrong, where, and what to do about it.
"""

from __future__ import annotations

EXIT_DONE = 0
EXIT_EXPERIMENT_FAILED = 1
EXIT_CONFIG = 2
EXIT_PREFLIGHT = 3
EXIT_PLUGIN = 4
EXIT_INTERRUPTED = 130

DOCUMENTATION = "https://llem.readthedocs.io/en/stable/"
"""Where the documentation is. `[project.urls]` and the site's own settings say the same; a test compares them."""

FAILED_EXPERIMENTS = "failed-experiments"
BUGS = "bugs"
"""Topics of what is no `LlemError`."""


def help_url(topic: str) -> str:
    """The address of a topic: a section of the troubleshooting page; one that is an address already stays."""
    return topic if topic.startswith("https://") else f"{DOCUMENTATION}troubleshooting/#{topic}"


_LONGEST_LINE = 4_000
_LONGEST = 14_000


def _bounded(text: str) -> str:
    """Text that somebody can read to its end: what it quotes may be a line of a megabyte."""
    if len(text) <= _LONGEST_LINE:
        return text
    lines = [line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…" for line in text.split("\n", 1_000)]
    whole = "\n".join(lines)
    return whole if len(whole) <= _LONGEST else f"{whole[:_LONGEST]}… ({len(text):,} characters in all)"


class LlemError(Exception):
    """Something a user can mend. `str(error)` is the whole paragraph.

    A traceback, also a notebook's, ends with where to read on; the command line says it too. It is a note and no part of
    the message, which stands in results and in other errors.

    Args:
        what: what is wrong, a sentence.
        where: the file, key or device that it concerns, such as `study.yaml:4:3`.
        remedy: what to do, a sentence.

    Attributes:
        topic: the section of the troubleshooting page for this kind of error. A plugin whose errors are explained
            elsewhere gives a whole address, `https://…`.
    """

    exit_code = EXIT_EXPERIMENT_FAILED
    topic = "running"

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        self.what = _bounded(what)
        self.where = where if where is None else _bounded(where)
        self.remedy = remedy if remedy is None else _bounded(remedy)
        super().__init__(self.what)
        self.add_note(f"See {self.help_url}")

    @property
    def help_url(self) -> str:
        """Where to read about this kind of error."""
        return help_url(self.topic)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} {self.remedy}" if self.remedy else text


class ConfigError(LlemError):
    """A study, a user file, an environment variable or an option that cannot be taken."""

    exit_code = EXIT_CONFIG
    topic = "configuration"


class PreflightError(LlemError):
    """The machine, a folder or a package is not fit for the study."""

    exit_code = EXIT_PREFLIGHT
    topic = "preflight"


class PluginError(LlemError):
    """A backend, runner, sampler or dataset is missing, broken or claimed twice."""

    exit_code = EXIT_PLUGIN
    topic = "plugins"


class ResultError(LlemError):
    """A result, a manifest or a job directory that cannot be read as what it claims to be."""

    exit_code = EXIT_CONFIG
    topic = "results"


class ModelError(LlemError):
    """A model that cannot be found, read or built. Raised in the worker, and by preflight."""

    topic = "models"


class DatasetError(LlemError):
    """A dataset that cannot be found or read, or that has no usable prompt."""

    exit_code = EXIT_CONFIG
    topic = "datasets"


class SamplerUnavailable(LlemError):  # noqa: N818 - a normal answer of a sampler, not a fault
    """This sampler cannot measure here. `what` says why, `remedy` what would make it work."""

    topic = "meters"


class SamplerClosed(SamplerUnavailable):
    """The meter is there, and this user may not read it.

    Args:
        command: what lets every user read it.
        caution: what to think of before, a sentence.
    """

    def __init__(
        self, what: str, *, command: str, caution: str, where: str | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.command, self.caution = command, caution
