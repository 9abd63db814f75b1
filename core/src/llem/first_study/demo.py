"""The demo: a ready study of a small real model, which comes with llem."""

from __future__ import annotations

from importlib.resources import files


def demo_study() -> str:
    """The text of `demo.yaml`, the one study that `llem init --demo` writes and `make demo` runs."""
    return files("llem.first_study").joinpath("demo.yaml").read_text(encoding="utf-8")
