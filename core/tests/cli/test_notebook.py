"""Studies and errors in a real notebook kernel."""

from __future__ import annotations

from typing import Any

import pytest
from notebooks import PATIENCE_S, run

pytestmark = pytest.mark.process


def test_silence_is_silence(kernel: Any, study: Any) -> None:
    put_out = run(kernel, f"import llem\nresult = llem.run_study({str(study())!r}, progress=False)")
    assert {kind for kind, _ in put_out} <= {"status", "execute_input"}


def test_an_error_ends_with_where_to_read_on(kernel: Any) -> None:
    answer = kernel.execute_interactive(
        "import llem\nllem.load_study('nowhere')", timeout=PATIENCE_S, allow_stdin=False, output_hook=lambda _: None
    )
    assert answer["content"]["ename"] == "ResultError"
    assert "troubleshooting/#results" in answer["content"]["traceback"][-1]
