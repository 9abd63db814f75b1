"""The page on messages says every key of the file and of a message."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from llem_notify.config import EVENTS, Notify, Target
from llem_notify.messages import FailedExperiment, Message, Outcome, Study

PAGE = (Path(__file__).parents[3] / "docs" / "notify.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("model", [Notify, Target, Message, Study, FailedExperiment, Outcome])
def test_every_key_is_on_the_page(model: type[BaseModel]) -> None:
    assert [name for name in model.model_fields if f"`{name}`" not in PAGE] == []


def test_the_message_on_the_page_is_one() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    message = Message.model_validate_json(block)
    assert json.loads(message.body()) == json.loads(block)


def test_the_file_on_the_page_is_one() -> None:
    import yaml

    (block,) = re.findall(r"```yml\n(.*?)```", PAGE, re.DOTALL)
    assert len(Notify.model_validate(yaml.safe_load(block)).targets) == 2


def test_the_pages_defaults_are_the_codes() -> None:
    targets = [{"name": "a", "url": "https://example.org/"}]
    found = Notify.model_validate({"targets": targets})
    (target,) = found.targets
    assert (found.stalled_after_s, found.most_failures) == (3600, 10)
    assert (target.timeout_s, target.attempts, target.events) == (10, 6, EVENTS)
    assert [text for text in ("(3600)", "each (10)", "answer (10)", "message (6)") if text not in PAGE] == []
