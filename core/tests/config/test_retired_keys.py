"""A key that a section names as retired is refused with what to do instead, wherever it stands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field

from llem.config.compose import Composer
from llem.config.layers import load_study
from llem.config.section import Section
from llem.errors import ConfigError
from llem.hookspecs import API_VERSION
from llem.plugins import default_registry
from llem.specs.backend import BackendSpec
from llem.specs.kinds import SCENARIOS


class Inner(Section):
    """Inside."""

    retired: ClassVar[Mapping[str, str]] = {"mode": "it was split; write `fast`"}
    fast: bool = Field(False, description="fast")


class Outer(Section):
    """Outside."""

    retired: ClassVar[Mapping[str, str]] = {"swap": "it was dropped; write `share`"}
    share: int = Field(1, description="share")
    inner: Inner | None = Field(None, description="inner")


SPEC = BackendSpec(name="x", api_version=API_VERSION, summary="x", config=Outer, engine="x:X")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x: {swap: 3}", "`x.swap` is not accepted: it was dropped; write `share`."),
        ("x: {inner: {mode: 3}}", "`x.inner.mode` is not accepted: it was split; write `fast`."),
        ("sweep: {x.swap: [1, 2]}", "is not accepted: it was dropped; write `share`."),
        ("experiments: [{x.inner.mode: 1}]", "is not accepted: it was split; write `fast`."),
        ("x: {swep: 3}", "is an unknown key"),
    ],
)
def test_it_says_what_to_do_instead(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(f"model: random:tiny-llama\nbackend: x\n{text}\n")
    (tmp_path / "user.yaml").touch()
    with pytest.raises(ConfigError) as caught:
        load_study(path, backends={"x": SPEC}, environ={}, user_file=tmp_path / "user.yaml")
    assert said in str(caught.value)


def test_the_library_says_it_too() -> None:
    with pytest.raises(ConfigError, match="it was dropped; write `share`"):
        Composer({"x": SPEC}, default_registry()[SCENARIOS]).compose(
            {"model": "random:tiny-llama", "backend": "x", "x": {"swap": 1}}
        )
