"""The folder of these tests on the path, for what several of them share, and a study that runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from study_run import Ran, Serve


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Takes sections of the study, runs it, returns what came of it."""
    from study_run import StudyRun

    def run(**sections: Any) -> Ran:
        study = StudyRun(tmp_path, sections)
        started = study.start()
        _, said = started.communicate()
        assert started.returncode in (0, 1), said
        return study.ran(said)

    return run
