"""`python -m llem_vllm.schema`: writes the schema of the installed vLLM, and says what to review.

It fails where an option of this vLLM has not been judged in review.toml, and names each. With `--check` nothing is
written: exit code 1 where the bundled schema is not what this vLLM and the review give.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from llem_vllm.schema import FOLDER, load, versions
from llem_vllm.schema.review import FILE, Review, differences, judged, unknown


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m llem_vllm.schema", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the bundled schema differs")
    check = parser.parse_args(arguments).check
    try:
        from llem_vllm.schema.introspect import introspect
    except ImportError as error:
        print(
            f"vLLM cannot be imported here: {error}. In an environment without llem-pytorch: "
            "pip install 'llem-vllm[engine]'.",
            file=sys.stderr,
        )
        return 2
    raw = introspect()
    review = Review(FILE.read_text(encoding="utf-8"))
    schema, missing = judged(raw, review)
    version: str = raw["vllm"]
    known = versions()
    if check:
        if version not in known:
            print(f"there is no schema of vLLM {version}: run python -m llem_vllm.schema.")
            return 1
        found = differences(load(version), schema)
        print("\n".join(found) if found else f"the schema of vLLM {version} is what it says of itself.")
        return 1 if found or missing else 0
    if missing:
        print(f"{len(missing)} options of vLLM {version} are not judged in {FILE.name}:")
        print("\n".join(f"  {name}" for name in missing))
        return 1
    others = [v for v in known if v != version]
    if others:
        print(f"since vLLM {others[-1]}:")
        for line in differences(load(others[-1]), schema):
            print(f"  {line}")
    for name in unknown(raw, review):
        print(f"judged, but not in vLLM {version}: {name}")
    path = FOLDER / f"{version}.json"
    path.write_text(json.dumps(schema, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
