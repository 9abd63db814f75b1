"""The plotting library as one script, which vl-convert carries: no network, no browser.

Making it takes seconds and memory of its own, so it is made in a process of its own, beside whatever a report does first.
"""

from __future__ import annotations

import atexit
import functools
import re
import subprocess
import sys

_PROGRAM = "import sys, vl_convert; sys.stdout.buffer.write(vl_convert.javascript_bundle().encode())"


def begin() -> None:
    """Start making it, unless that has been done."""
    _process()


@functools.cache
def script() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script that may stand in a page."""
    made, _ = _process().communicate()
    if _process().returncode == 0:
        bundle = made.decode()
    else:  # no process could be had for it
        import vl_convert

        bundle = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub forgets that all may be left out
    # A script ends at `</script` and changes its meaning after `<!--`, wherever they stand; in strings these say the same.
    return re.sub(r"</(?=script)", r"<\\/", bundle, flags=re.IGNORECASE).replace("<!--", r"<\!--")


@functools.cache
def _process() -> subprocess.Popen[bytes]:
    # `-P`: nothing is imported from the folder that llem was started in.
    started = subprocess.Popen(
        [sys.executable, "-P", "-c", _PROGRAM],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    atexit.register(started.kill)
    return started
