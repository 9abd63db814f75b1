"""A study run in a real notebook kernel: one output that is replaced as it goes on, and the result as a table."""

from __future__ import annotations

from typing import Any

import pytest
from notebooks import run

pytestmark = pytest.mark.process


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
