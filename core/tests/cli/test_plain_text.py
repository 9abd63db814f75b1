"""Text from results and engines: no terminal is told anything by it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.cli.plain import PlainStream
from llem.results.models import Failure
from llem.results.text import plain

ATTACK = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\r\x08"


def test_escapes_are_written_out_and_words_of_every_script_stay() -> None:
    assert plain("a\x1b[2Jb") == "a\\u001b[2Jb"
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", plain(ATTACK))
    text = "naïve – 日本語\u3000\u00a0 👩\u200d💻\tאב [bold]\n"
    assert plain(text) == text


@given(st.text())
def test_json_says_the_same_when_it_is_written_plainly(text: str) -> None:
    assert json.loads(plain(json.dumps(text, ensure_ascii=False))) == text


def test_a_stream_lets_nothing_past() -> None:
    beneath = io.StringIO()
    stream: Any = PlainStream(beneath)
    print(ATTACK, file=stream)
    stream.writelines(["\x1b", "\x07"])
    assert beneath.getvalue() == plain(ATTACK) + "\n\\u001b\\u0007"
    assert not hasattr(stream, "buffer")


def on_a_terminal(*arguments: str) -> str:
    """Output of llem on a terminal: elsewhere click takes the sequences that it knows out by itself."""
    main, there = pty.openpty()
    seen = b""
    with subprocess.Popen([sys.executable, "-m", "llem", *arguments], stdin=there, stdout=there, stderr=there):
        os.close(there)
        with contextlib.suppress(OSError):  # how a terminal ends
            while data := os.read(main, 2**16):
                seen += data
    os.close(main)
    return seen.decode()


@pytest.mark.process
def test_show_prints_no_escape_of_a_result(make_result: Any, write_study: Any) -> None:
    result = make_result()
    result.status = "failed"
    result.failure = Failure(type="E", message=f"engine said {ATTACK}", phase="load", log_tail=f"log {ATTACK}")
    result.identity.point["testbed.x\x1b[8m"] = ATTACK
    folder: Path = write_study(result)
    (job,) = (folder / "experiments").iterdir()
    for arguments in (["show", folder], ["show", job], ["show", job, "--json"], ["show", f"{folder}\x1b[2J"]):
        seen = on_a_terminal(*map(str, arguments))
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", seen), arguments
        assert "\\u001b" in seen, arguments
