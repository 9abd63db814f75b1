"""`python -m llem_trtllm.schema`: writes the schema of the installed TensorRT-LLM, and says what to review; see
`llem_engines.review_command`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from llem_engines import review_command
from llem_trtllm.schema import SCHEMAS


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check; returns the exit code."""
    install = "Run it in the backend's image, or: pip install 'llem-trtllm[engine]'."
    return review_command.run(SCHEMAS, _read, install, arguments)


def _read() -> Mapping[str, Any]:
    from llem_trtllm.schema.introspect import introspect

    return introspect()


if __name__ == "__main__":
    sys.exit(main())
