"""`llem run --resume` without a study: options that would change one are refused, an empty word like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from llem.cli import main


@pytest.mark.parametrize(
    "words",
    [
        ["--set", "dataset.n=4"],
        ["--backend", "pytorch"],
        ["--dataset", "aienergyscore"],
        ["--dataset", ""],
        ["-n", "4"],
        ["--output-tokens", "4"],
        ["--order", "shuffled"],
        ["--runner", "local"],
        ["--runner", ""],
    ],
    ids=" ".join,
)
def test_options_that_change_a_study_need_the_study(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--resume", str(tmp_path), *words]) == 2
    assert "options that change a study need the study" in capsys.readouterr().err
