"""Puts the test backend on the path, here and in every worker that a test starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_TESTBED = str(Path(__file__).parent / "tests" / "testbed")
sys.path.insert(0, _TESTBED)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_TESTBED, os.environ.get("PYTHONPATH")]))
