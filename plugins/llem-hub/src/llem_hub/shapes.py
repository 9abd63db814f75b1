"""Published shapes of models, for `random:ARCHITECTURE`: the sizes without the weights.

Each is a file `shapes/NAME.json` with `source` (where its numbers were published) and `config` (the fields of a
transformers `config.json`). Energy and speed depend on the shape, so a model of random weights gives both without a
download. The shapes called `tiny-…` are for tests.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.plugin_api import ModelError, closest

_FOLDER = Path(__file__).parent / "shapes"


@dataclass(frozen=True, slots=True)
class Shape:
    """One architecture.

    Attributes:
        name: the word after `random:`.
        config: fields and values as in a transformers `config.json`; a copy, free to change.
        provenance: where the numbers come from.
    """

    name: str
    config: dict[str, Any]
    provenance: str


def shape_names() -> list[str]:
    """Every architecture that `random:` knows, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def load_shape(name: str) -> Shape:
    """Read one architecture.

    Raises:
        ModelError: there is none of this name; says the nearest, and all of them.
    """
    known = shape_names()
    if name not in known:
        near = closest(name.lower(), known, 0.5)
        meant = f"Did you mean random:{near}? " if near else ""
        raise ModelError(
            f"there is no architecture `{name}`.",
            where=f"random:{name}",
            remedy=f"{meant}Known are: {', '.join(known)}.",
        )
    data = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return Shape(name=name, config=data["config"], provenance=data["source"])
