"""Every study on docs/study.md is planned as a user would, and comes to the number or the message that the page gives."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from plain_environment import set_for_llem

from llem.cli.invoke import invoke

PAGE = Path(__file__).parent.parent / "docs" / "study.md"
EXAMPLE = re.compile(r'^```yaml title="([^"\n]+)"\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?', re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```yaml", re.MULTILINE)
REFUSED = "refused"
SEE = re.compile(r"\s+See https://\S+$")


def _examples() -> list[tuple[int, str, str, str]]:
    text = PAGE.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, found.start()) + 1, found[1], found[2], found[3] or "") for found in EXAMPLE.finditer(text)
    ]


def whole(example: str) -> str:
    """An example with the model and backend that the page gives to those without; they stand last, so lines stay."""
    lines = "".join(
        f"{key}: {value}\n"
        for key, value in (("model", "random:tiny-llama"), ("backend", "pytorch"))
        if not re.search(rf"^(  )?{key}:|backend: ", example, re.MULTILINE)
    )
    return example + lines


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, without settings of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    for name in set_for_llem():
        monkeypatch.delenv(name)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "title", "example", "message"), _examples(), ids=[f"line {e[0]}" for e in _examples()]
)
def test_an_example_comes_to_what_the_page_says(
    line: int, title: str, example: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "study.yaml").write_text(whole(example), encoding="utf-8")
    code = invoke(["run", "study.yaml", "--dry-run", "--json"])
    said = capsys.readouterr()
    if title == REFUSED:
        assert code == 2, f"{PAGE.name}:{line} was taken"
        assert SEE.sub("", said.err.strip().removeprefix("llem: ")) == message.strip()
    else:
        assert code == 0, said.err
        number = int(title.split()[0])
        assert json.loads(said.out)["total"] == number
        assert title == f"{number} experiment{'' if number == 1 else 's'}"


def test_no_example_of_the_page_is_left_out() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(FENCE.findall(text)) == len(_examples())
    refused = [message for _, title, _, message in _examples() if title == REFUSED]
    assert len(refused) >= 10
    assert all(refused), "a refused example shows its message"
