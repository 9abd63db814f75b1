"""The command behind `python -m PLUGIN.schema`: writes the schema of the installed engine, and says what to review.

It fails where an option has not been judged in review.toml, and names each. With `--check` nothing is written: exit code 1 where the
bundled schema is not what this engine and the review give. With `--judged` no engine is needed: exit code 1 where an option of a
bundled schema has no judgement, or another one than the review's.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llem_engines.review import FILE, Review, differences, judged, unknown, unreviewed
from llem_engines.schemas import OptionSchemas


def run(
    schemas: OptionSchemas, read: Callable[[], Mapping[str, Any]], install: str, arguments: Sequence[str] | None
) -> int:
    """Write or check; returns the exit code.

    Args:
        schemas: of the engine.
        read: gives the version under the backend's name, and each group of fields, as the installed engine has them, with its help
            text as `description`; raises ImportError where it cannot be imported.
        install: a sentence on how to install it.
        arguments: of the command line; None for those of this process.
    """
    backend, engine = schemas.names.backend, schemas.names.engine
    command = f"python -m llem_{backend}.schema"
    parser = argparse.ArgumentParser(
        prog=command, description=f"Writes the schema of the installed {engine}, and says what to review."
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--check", action="store_true", help="write nothing; exit 1 where the bundled schema differs")
    kind.add_argument("--judged", action="store_true", help="exit 1 where an option of a bundled schema is not judged")
    asked = parser.parse_args(arguments)
    review = Review((schemas.folder / FILE).read_text(encoding="utf-8"))
    if asked.judged:
        return _check_judgements(schemas, review, command)
    try:
        raw = read()
    except ImportError as error:
        print(f"{engine} cannot be imported here: {error}. {install}", file=sys.stderr)
        return 2
    schema, missing = judged(raw, review)
    version: str = raw[backend]
    if missing:
        print(f"{len(missing)} options of {engine} {version} are not judged in {FILE}:")
        print("\n".join(f"  {name}" for name in missing))
        return 1
    if asked.check:
        if version not in schemas.versions():
            print(f"there is no schema of {engine} {version}: run {command}.")
            return 1
        found = differences(schemas.load(version), schema)
        print("\n".join(found) if found else f"the schema of {engine} {version} is what it says of itself.")
        return 1 if found else 0
    if others := [known for known in schemas.versions() if known != version]:
        print(f"since {engine} {others[-1]}:")
        for line in differences(schemas.load(others[-1]), schema):
            print(f"  {line}")
    for name in unknown(raw, review):
        print(f"judged, but not in {engine} {version}: {name}")
    path = schemas.folder / f"{version}.json"
    path.write_text(json.dumps(schema, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"wrote {path}")
    return 0


def _check_judgements(schemas: OptionSchemas, review: Review, command: str) -> int:
    loaded = {version: schemas.load(version) for version in schemas.versions()}
    wrong = [f"{version}: {name}" for version, schema in loaded.items() for name in unreviewed(schema, review)]
    if wrong:
        print(f"{len(wrong)} options are not judged as {FILE} says; run {command}:")
        print("\n".join(f"  {name}" for name in wrong))
        return 1
    count = sum(len(schema[group]) for schema in loaded.values() for group in schemas.groups)
    print(f"all {count} options of {schemas.names.engine} {', '.join(loaded)} are judged.")
    return 0
