"""`python -m llem` is `llem`."""

from __future__ import annotations

import sys

from llem.cli import main

if __name__ == "__main__":
    sys.exit(main())
