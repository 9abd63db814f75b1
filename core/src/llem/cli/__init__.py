"""The command line: `llem`, one file a command.

Nothing but the standard library is imported here, so that `llem --version` answers at once.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

EXIT_PIPE = 141
"""Exit code that a shell reports for a program that a closed pipe ended (128 + SIGPIPE)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `llem` with these arguments (by default the process's own) and return its exit code. Prints no traceback."""
    args = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if arguments is None:
            gc.set_threshold(50_000, 20)  # most that llem makes is modules, which are no garbage
            _listen()
        _prepare_streams()
        if args in (["--version"], ["-V"]):
            import llem

            print(f"llem {llem.__version__}")
            code = 0
        else:
            from llem.cli.invoke import invoke
            from llem.cli.plain import plain_streams

            with plain_streams():
                code = invoke(args)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_output()
        return EXIT_PIPE
    except OSError as error:  # `invoke` lets none through but those of its own output
        print(f"llem: the output cannot be written: {error.strerror}.", file=sys.stderr)
        _forget_output()
        return 1
    except KeyboardInterrupt:
        print("llem: interrupted.", file=sys.stderr)
        return 130
    return code


def _listen() -> None:
    """From now on SIGTERM and SIGHUP end llem as Ctrl+C does: in order, and with exit code 130. Under nohup the latter does not."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        for other in listened:  # once is enough: what is under way now is the way out
            signal.signal(other, signal.SIG_IGN)
        raise KeyboardInterrupt

    listened = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) == signal.SIG_DFL]
    for number in listened:
        signal.signal(number, end)


def _prepare_streams() -> None:
    """A stream that the caller closed goes nowhere, and a terminal that knows few characters gets `?` for the others."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            # Held open, or the next file that is opened would get this number and all that is printed.
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115
        elif number and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _forget_output() -> None:
    """Let what is left to print go nowhere: Python would flush again at exit and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
