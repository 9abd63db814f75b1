"""`python -m llem_trtllm.schema.references FOLDER [VERSION]`: writes a schema out of reference files.

TensorRT-LLM's makers hold its interface against files in which each argument has its annotation and its default
(`tests/unittest/api_stability` of its repository). A folder of such files gives the facts where TensorRT-LLM is not installed: `llm.yaml`,
`tensorrt_llm_args.yaml` and `sampling_params.yaml`, and one file for each class of its configuration that is an option with parts.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from llem_engines import option_types
from llem_engines.review import FILE, Review, judged
from llem_trtllm.schema import DEFAULT, SCHEMAS
from llem_trtllm.schema.annotations import class_in, hint_of

FILES = {"engine": "llm", "tensorrt": "tensorrt_llm_args", "sampling": "sampling_params"}
"""Group of a schema to the file that has it."""

_NOTHING = ("inspect._empty", "inspect.Parameter.empty")

Raw = dict[str, Any]


def raw_schema(folder: Path, version: str) -> Raw:
    """The facts of every group, as `introspect` gives them."""
    groups = {group: list(_fields(parameters(folder / f"{file}.yaml"), folder)) for group, file in FILES.items()}
    return {"trtllm": version, **groups}


def parameters(file: Path, method: str = "__init__") -> Mapping[str, Mapping[str, Any]]:
    """Annotation and default of each parameter that a reference file names for a method."""
    found: Mapping[str, Mapping[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))["methods"][method][
        "parameters"
    ]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the schema; returns the exit code: 1 where an option is not judged, and each is named."""
    folder, version = [*(sys.argv[1:] if arguments is None else arguments), DEFAULT][:2]
    review = Review((SCHEMAS.folder / FILE).read_text(encoding="utf-8"))
    schema, missing = judged(raw_schema(Path(folder), version), review)
    if missing:
        print(f"{len(missing)} options of TensorRT-LLM {version} are not judged in {FILE}:")
        print("\n".join(f"  {name}" for name in missing))
        return 1
    path = SCHEMAS.folder / f"{version}.json"
    path.write_text(json.dumps(schema, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"wrote {path}")
    return 0


def _fields(found: Mapping[str, Mapping[str, Any]], folder: Path) -> Iterator[Raw]:
    for name, told in found.items():
        annotation = str(told["annotation"])
        default = None if told.get("default") in _NOTHING else told.get("default")
        value = option_types.values(hint_of(annotation))
        field: Raw = {"name": name, "type": annotation, "default": default}
        part = _part(annotation, folder)
        if part is not None:
            field |= {"value": {"type": "object"}, "fields": list(_fields(parameters(part), folder))}
        elif value is not None:
            field["value"] = option_types.with_default(value, default)
            if named := [one for one in option_types.choices(value) if one is not None]:
                field["choices"] = named
        yield field


def _part(annotation: str, folder: Path) -> Path | None:
    """The file of the class that an annotation names; None where there is none."""
    name = class_in(annotation)
    file = folder / f"{re.sub(r'(?<!^)(?=[A-Z])', '_', name or '').lower()}.yaml"
    return file if name is not None and file.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
