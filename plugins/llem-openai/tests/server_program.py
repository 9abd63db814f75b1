"""A small server of the OpenAI API as a program of its own: `server_program.py PORT [OPTION…]`, for tests of `openai.serve`.

Options: `--after S` listens so late, `--die S` ends itself so long after it listens, `--stubborn` takes no SIGTERM, `--child` has
a child, whose pid it prints, `--burn NAME` computes all the time and is called so, `--fail` ends at once with exit code 7, `--pace S` takes so long
for a token.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from openai_server import Behaviour, serving

PR_SET_NAME = 15


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--after", type=float, default=0.0)
    parser.add_argument("--die", type=float)
    parser.add_argument("--burn")
    parser.add_argument("--pace", type=float, default=Behaviour.token_s)
    for flag in ("--stubborn", "--child", "--fail"):
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args()
    if options.fail:
        print("the weights are not there", flush=True)
        return 7
    if options.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.child:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        print(f"child {child.pid}", flush=True)
    time.sleep(options.after)
    with serving(Behaviour(token_s=options.pace), options.port) as address:
        print(f"serving at {address} as {os.getpid()}", flush=True)
        if options.burn is not None:
            ctypes.CDLL(None).prctl(PR_SET_NAME, options.burn.encode(), 0, 0, 0)
            threading.Thread(target=burn, daemon=True).start()
        time.sleep(600 if options.die is None else options.die)
    return 3


def burn() -> None:
    sys.setswitchinterval(0.0002)  # its own answers would wait for it, and a test for them
    while True:
        sum(range(10_000))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    sys.exit(main())
