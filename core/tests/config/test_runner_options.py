"""A runner's own options: from every layer, checked by its own model, shown with their origin, no part of identity."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import Field

from llem.config.keys import Vocabulary
from llem.config.layers import LoadedStudy, load_study
from llem.config.section import Section
from llem.errors import ConfigError
from llem.plan.runners import choose_runners
from llem.plugins import Registry, default_registry
from llem.specs import kinds
from llem.sweep import Sweep


class QueueOptions(Section):
    """The place of jobs in the queue."""

    partition: str | None = Field(None, description="the partition")
    nodes: int = Field(1, ge=1, description="how many nodes")


REGISTRY = default_registry()
BACKENDS = {"testbed": REGISTRY.find(kinds.BACKENDS, "testbed")}
RUNNERS: dict[str, Any] = {"queue": SimpleNamespace(options=QueueOptions), "local": SimpleNamespace(options=None)}
STUDY: dict[str, Any] = {"model": "random:tiny-llama", "backend": "testbed", "runners": {"testbed": "queue"}}


class WithQueue(Registry):
    """The installed plugins, and a runner `queue`."""

    def __getitem__(self, kind: Any) -> Any:
        queue = SimpleNamespace(location="here", argument=None, options=QueueOptions)
        return {"queue": queue} if kind is kinds.RUNNERS else super().__getitem__(kind)


def load(document: dict[str, Any], **given: Any) -> LoadedStudy:
    options = {"environ": {"XDG_CONFIG_HOME": "/nowhere"}, "backends": BACKENDS, "runners": RUNNERS} | given
    return load_study(document={**STUDY, **document}, **options)


def test_options_come_from_every_layer_each_with_its_origin(tmp_path: Path) -> None:
    user = tmp_path / "config.yaml"
    user.write_text("runner_options: {queue: {partition: mine, nodes: 2}}\n")
    loaded = load({}, user_file=user, environ={"LLEM_RUNNER_OPTIONS_QUEUE_PARTITION": "0815"})
    assert loaded.config.runner_options == {"queue": {"partition": "0815", "nodes": 2}}
    assert str(loaded.origins["runner_options.queue.nodes"]) == f"user file {user}:1:43"
    assert loaded.origins["runner_options.queue.partition"].kind == "environment"
    loaded = load({}, user_file=user, settings=["runner_options.queue.partition=12"])
    assert loaded.config.runner_options["queue"]["partition"] == "12"


def test_options_of_a_runner_that_is_not_installed_are_left_out_of_a_user_file_only(tmp_path: Path) -> None:
    user = tmp_path / "config.yaml"
    user.write_text("runner_options: {other: {partition: mine}}\n")
    assert load({}, user_file=user).config.runner_options == {}
    with pytest.raises(
        ConfigError, match=r"`runner_options.quue` is no runner that is installed.*`runner_options.queue`"
    ):
        load({"runner_options": {"quue": {"nodes": 1}}})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queue": {"nodes": 0}}, r"`runner_options.queue.nodes` is not accepted: found 0"),
        ({"queue": {"partitoin": "x"}}, r"unknown key.*Did you mean `runner_options.queue.partition`"),
        ({"queue": None}, r"`runner_options.queue` is empty"),
        ({"local": {"nodes": 1}}, r"names a runner that has no options \(those that have: queue\)"),
        ([], r"`runner_options` is not accepted"),
    ],
)
def test_wrong_options_are_refused_with_what_is_accepted(options: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load({"runner_options": options})


def test_options_change_no_identity_and_reach_the_runner() -> None:
    def digests(loaded: LoadedStudy) -> list[Any]:
        return list(Sweep(loaded.config, BACKENDS, REGISTRY[kinds.SCENARIOS], loaded.locate).digests())

    loaded = load({"runner_options": {"queue": {"nodes": 3}}})
    assert digests(loaded) == digests(load({}))
    registry = WithQueue()
    chosen = choose_runners(loaded, ["testbed"], registry, None)["testbed"]
    assert chosen.options == QueueOptions(nodes=3)
    assert choose_runners(load({}), ["testbed"], registry, None)["testbed"].options == QueueOptions()


def test_the_vocabulary_knows_them() -> None:
    assert "runner_options.queue.nodes" in Vocabulary(BACKENDS, RUNNERS).settings
