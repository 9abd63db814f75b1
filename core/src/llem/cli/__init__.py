"""The command line: `llem`, one file a command.

Nothing but the standard library is imported here, so that `llem --version` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

EXIT_PIPE = 141
"""What a shell reports for a program that a closed pipe ended (128 + SIGPIPE)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `llem` with these arguments (by default the process's own) and return its exit code. Prints no traceback."""
    args = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if args in (["--version"], ["-V"]):
            import llem

            print(f"llem {llem.__version__}")
            code = 0
        else:
            from llem.cli.invoke import invoke

            code = invoke(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has gone. Python would flush again at exit and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except KeyboardInterrupt:
        print("llem: interrupted.", file=sys.stderr)
        return 130
    return code
