"""`python -m llem_sglang.schema`: writes the schema of the installed SGLang, and says what to review; see `llem_engines.review_command`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from llem_engines import review_command
from llem_sglang.schema import SCHEMAS


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check; returns the exit code."""
    return review_command.run(SCHEMAS, _read, "pip install 'llem-sglang[engine]'.", arguments)


def _read() -> Mapping[str, Any]:
    from llem_sglang.schema.introspect import introspect

    return introspect()


if __name__ == "__main__":
    sys.exit(main())
