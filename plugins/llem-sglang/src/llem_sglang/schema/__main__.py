"""`python -m llem_sglang.schema`: writes the schema of the installed SGLang, and says what to review.

It fails where an option of this SGLang has not been judged in review.toml, and names each. With `--check` nothing is written:
exit code 1 where the bundled schema is not what this SGLang and the review give. With `--judged` no SGLang is needed: exit code 1
where an option of a bundled schema has no judgement, or another one than the review's.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from llem_sglang.schema import FOLDER, load, versions
from llem_sglang.schema.review import FILE, Review, differences, judged, read_review, unknown, unreviewed


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m llem_sglang.schema", description=__doc__)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--check", action="store_true", help="write nothing; exit 1 where the bundled schema differs")
    kind.add_argument("--judged", action="store_true", help="exit 1 where an option of a bundled schema is not judged")
    asked = parser.parse_args(arguments)
    review = read_review(FILE.read_text(encoding="utf-8"))
    if asked.judged:
        return _check_judgements(review)
    try:
        from llem_sglang.schema.introspect import introspect
    except ImportError as error:
        print(f"SGLang cannot be imported here: {error}. pip install 'llem-sglang[engine]'.", file=sys.stderr)
        return 2
    raw = introspect()
    schema, missing = judged(raw, review)
    version: str = raw["sglang"]
    if missing:
        print(f"{len(missing)} options of SGLang {version} are not judged in {FILE.name}:")
        print("\n".join(f"  {name}" for name in missing))
        return 1
    if asked.check:
        if version not in versions():
            print(f"there is no schema of SGLang {version}: run python -m llem_sglang.schema.")
            return 1
        found = differences(load(version), schema)
        print("\n".join(found) if found else f"the schema of SGLang {version} is what it says of itself.")
        return 1 if found else 0
    if others := [known for known in versions() if known != version]:
        print(f"since SGLang {others[-1]}:")
        for line in differences(load(others[-1]), schema):
            print(f"  {line}")
    for name in unknown(raw, review):
        print(f"judged, but not in SGLang {version}: {name}")
    path = FOLDER / f"{version}.json"
    path.write_text(json.dumps(schema, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"wrote {path}")
    return 0


def _check_judgements(review: Review) -> int:
    wrong = [f"{version}: {name}" for version in versions() for name in unreviewed(load(version), review)]
    if wrong:
        print(f"{len(wrong)} options are not judged as {FILE.name} says; run python -m llem_sglang.schema:")
        print("\n".join(f"  {name}" for name in wrong))
        return 1
    count = sum(len(load(version)[group]) for version in versions() for group in ("engine", "sampling"))
    print(f"all {count} options of SGLang {', '.join(versions())} are judged.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
