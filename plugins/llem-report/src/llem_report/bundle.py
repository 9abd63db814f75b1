"""The plotting library as one script, which vl-convert carries: no network, no browser.

Making it takes seconds and memory of its own, so it is made in a process of its own, beside whatever a report does first.
"""

from __future__ import annotations

import atexit
import functools
import re
import subprocess
import sys
import tempfile
from typing import IO

_PROGRAM = "import sys, vl_convert; sys.stdout.buffer.write(vl_convert.javascript_bundle().encode())"


def begin() -> None:
    """Start making it, unless that has been done."""
    _process()


@functools.cache
def script() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script that may stand in a page."""
    process, made = _process()
    if process.wait() == 0:
        with made:
            made.seek(0)
            bundle = made.read().decode()
    else:  # no process could be had for it
        import vl_convert

        bundle = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub forgets that all may be left out
    # A script ends at `</script` and changes its meaning after `<!--`, wherever they stand; in strings these say the same.
    return re.sub(r"</(?=script)", r"<\\/", bundle, flags=re.IGNORECASE).replace("<!--", r"<\!--")


@functools.cache
def _process() -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    # Into a file, not a pipe: it ends once the script is made, and its 250 MB do not wait beside the report's own for a reader.
    made = tempfile.TemporaryFile()  # noqa: SIM115  # `script` closes it
    # `-P`: nothing is imported from the folder that llem was started in.
    started = subprocess.Popen(
        [sys.executable, "-P", "-c", _PROGRAM], stdin=subprocess.DEVNULL, stdout=made, stderr=subprocess.DEVNULL
    )
    atexit.register(started.kill)
    return started, made
