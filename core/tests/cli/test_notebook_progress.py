"""A study run in a real notebook kernel: one output that is replaced as it goes on, and the result as a table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

pytestmark = pytest.mark.process

PATIENCE_S = 120


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A kernel's client; the kernel runs in the test's folder."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    manager = KernelManager()
    manager.start_kernel(cwd=str(tmp_path), env=dict(os.environ))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE_S)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def run(kernel: Any, code: str) -> list[tuple[str, Any]]:
    """Run a cell; kind and content of all that it put out."""
    put_out: list[tuple[str, Any]] = []
    answer = kernel.execute_interactive(
        code,
        timeout=PATIENCE_S,
        allow_stdin=False,
        output_hook=lambda message: put_out.append((message["msg_type"], message["content"])),
    )
    assert answer["content"]["status"] == "ok", answer["content"]
    return put_out


@pytest.mark.process
def test_a_study_in_a_notebook_has_one_output_that_lives_and_ends_as_a_table(kernel: Any, study: Any) -> None:
    path = study(sweep={"testbed.batch_size": [1, 2]}, testbed={"token_s": 0.4})
    put_out = run(kernel, f"import llem\nllem.run_study({str(path)!r})")
    drawn = [content for kind, content in put_out if kind in ("display_data", "update_display_data")]
    assert [kind for kind, _ in put_out].count("display_data") == 1
    assert len({content["transient"]["display_id"] for content in drawn}) == 1
    texts = [content["data"]["text/plain"] for content in drawn]
    assert any("window" in text and "[1/2]" in text and "0/2 ended" in text for text in texts)
    assert "complete: 2 done, in " in texts[-1]
    assert "ended" not in texts[-1], "the view is gone"
    assert "\x1b" not in "".join(texts)
    assert drawn[-1]["data"]["text/html"].startswith("<pre>2 experiments, results in ")
    (result,) = [content for kind, content in put_out if kind == "execute_result"]
    assert "<table>" in result["data"]["text/html"]
    assert result["data"]["text/plain"].startswith("StudyResult(")


@pytest.mark.process
def test_silence_is_silence(kernel: Any, study: Any) -> None:
    put_out = run(kernel, f"import llem\nresult = llem.run_study({str(study())!r}, progress=False)")
    assert {kind for kind, _ in put_out} <= {"status", "execute_input"}


@pytest.mark.process
def test_an_error_ends_with_where_to_read_on(kernel: Any) -> None:
    answer = kernel.execute_interactive(
        "import llem\nllem.load_study('nowhere')", timeout=PATIENCE_S, allow_stdin=False, output_hook=lambda _: None
    )
    assert answer["content"]["ename"] == "ResultError"
    assert "troubleshooting/#results" in answer["content"]["traceback"][-1]
