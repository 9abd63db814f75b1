"""Runs a command and turns whatever it raises into one paragraph and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence

import click

from llem.cli.completing import answer, is_asked
from llem.cli.group import command_line
from llem.errors import BUGS, EXIT_CONFIG, EXIT_EXPERIMENT_FAILED, LlemError, help_url
from llem.plugins import default_registry
from llem.spelling import closest

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
"""Errors with which writing to standard output ends where that is a file on a full or failing disk."""


def invoke(arguments: Sequence[str]) -> int:
    """Run one command line; returns its exit code.

    Click's own `main` is not used: it would hide a closed pipe and print usage errors in its own form.
    """
    args = list(arguments)
    if not _is_somewhere():
        _say("the current folder is gone. Change to one that exists.")
        return EXIT_CONFIG
    registry = default_registry()
    if is_asked():
        return answer(command_line, registry)
    try:
        with command_line.make_context("llem", args, obj=registry) as context:
            code = command_line.invoke(context)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message(), err=True)
        return EXIT_CONFIG
    except click.ClickException as error:
        _say(usage_text(error))
        return EXIT_CONFIG
    except (click.Abort, KeyboardInterrupt):
        raise KeyboardInterrupt from None
    except BrokenPipeError:
        raise
    except LlemError as error:
        if os.environ.get("LLEM_DEBUG") == "1":
            traceback.print_exc()
        _say(error_text(error))
        return error.exit_code
    except OSError as error:
        if error.errno in _FULL and error.filename is None:
            raise
        _say(bug_text(error))
        return EXIT_EXPERIMENT_FAILED
    except Exception as error:  # noqa: BLE001 - the last resort: a bug of ours must not greet the user with a traceback
        _say(bug_text(error))
        return EXIT_EXPERIMENT_FAILED


def _is_somewhere() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - pathlib asks the same
    except OSError:
        return False
    return True


def error_text(error: LlemError) -> str:
    """The whole paragraph, and at its end where to read on; on a line of its own where there are several."""
    text = str(error)
    separator = "\n" if "\n" in text else " "
    return f"{text}{separator}See {error.help_url}"


def usage_text(error: click.ClickException) -> str:
    """The mistake in the command line in words, with the nearest word that is known, and where to read on."""
    # Click lists choices on lines of their own, and speaks of types.
    text = " ".join(error.format_message().split()).replace("is not a valid integer range", "is no whole number")
    context = getattr(error, "ctx", None)
    if isinstance(error, click.NoSuchOption) and context is not None:
        known = [name for p in context.command.get_params(context) for name in (*p.opts, *p.secondary_opts)]
        text = f"there is no option `{error.option_name}`."
        if near := closest(error.option_name, known):
            text += f" Did you mean `{near}`?"
    if text[-1:] not in ".?!":
        text += "."
    path = context.command_path if context is not None else "llem"
    return f"{text} See `{path} --help`."


def bug_text(error: Exception) -> str:
    """Save the traceback of an unforeseen error and say where; with LLEM_DEBUG=1 print it too."""
    text = traceback.format_exc()
    if os.environ.get("LLEM_DEBUG") == "1":
        sys.stderr.write(text)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    try:
        handle, path = tempfile.mkstemp(prefix="llem-traceback-", suffix=".txt")
        with open(handle, "w", encoding="utf-8") as stream:  # noqa: PTH123 - mkstemp gives a descriptor
            stream.write(text)
        kept = f"The traceback is in {path}; please send it along with a report."
    except OSError as problem:
        kept = f"The traceback could not be saved ({problem}); LLEM_DEBUG=1 prints it."
    return f"this is a bug of llem, not of your study: {' '.join(what.split())}. {kept} See {help_url(BUGS)}"


def _say(paragraph: str) -> None:
    from llem.results.scrub import scrub  # here, since most commands have nothing to say

    click.echo(f"llem: {scrub(paragraph)}", err=True)
