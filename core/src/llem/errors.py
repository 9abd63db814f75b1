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


class LlemError(Exception):
    """Something a user can mend. `str(error)` is the whole paragraph.

    Args:
        what: what is wrong, a sentence.
        where: the file, key or device that it concerns, such as `study.yaml:4:3`.
        remedy: what to do, a sentence.
    """

    exit_code = EXIT_EXPERIMENT_FAILED

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} {self.remedy}" if self.remedy else text


class ConfigError(LlemError):
    """A study, a user file, an environment variable or an option that cannot be taken."""

    exit_code = EXIT_CONFIG


class PreflightError(LlemError):
    """The machine, a folder or a package is not fit for the study."""

    exit_code = EXIT_PREFLIGHT


class PluginError(LlemError):
    """A backend, runner, sampler or dataset is missing, broken or claimed twice."""

    exit_code = EXIT_PLUGIN


class ResultError(LlemError):
    """A result, a manifest or a job directory that cannot be read as what it claims to be."""

    exit_code = EXIT_CONFIG


class ModelError(LlemError):
    """A model that cannot be found, read or built. Raised in the worker, and by preflight."""


class DatasetError(LlemError):
    """A dataset that cannot be found or read, or that has no usable prompt."""

    exit_code = EXIT_CONFIG


class SamplerUnavailable(LlemError):  # noqa: N818 - a normal answer of a sampler, not a fault
    """This sampler cannot measure here. `what` says why, `remedy` what would make it work."""
