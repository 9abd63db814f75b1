"""The JSON Schema of a study: valid itself, takes what llem takes, refuses what llem refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from config_backends import BACKENDS, SCENARIOS
from field_values import invalid_values, valid_values
from jsonschema import Draft202012Validator

from llem.config.introspect import facts_of
from llem.config.keys import Vocabulary
from llem.config.layers import load_study
from llem.config.reading import read_yaml, read_yaml_file
from llem.errors import LlemError
from llem.plugins import default_registry
from llem.specs import kinds
from llem.sweep.expansion import Sweep
from llem_start.schema import DRAFT, json_schema

ROOT = Path(__file__).parents[3]
SCHEMA = json_schema(BACKENDS)
VALIDATOR = Draft202012Validator(SCHEMA)
BASE: dict[str, Any] = {"model": "random:tiny-llama", "backend": "testbed"}


def is_taken(document: dict[str, Any]) -> bool:
    """Tell whether llem itself takes it, its points included."""
    try:
        loaded = load_study(document=document, environ={"XDG_CONFIG_HOME": "/nonexistent"}, backends=BACKENDS)
        list(Sweep(loaded.config, BACKENDS, SCENARIOS, loaded.locate))
    except LlemError:
        return False
    return True


def test_it_is_a_schema_of_draft_2020_12_and_plain_json() -> None:
    assert SCHEMA["$schema"] == DRAFT == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA, allow_nan=False)) == SCHEMA


def test_it_is_valid_without_any_backend() -> None:
    schema = json_schema({})
    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid({"model": "x", "backend": "anything"})


def test_every_reference_leads_somewhere() -> None:
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(SCHEMA))):
        place: Any = SCHEMA
        for part in reference.split("/"):
            place = place[part]
        assert isinstance(place, dict)


def test_every_field_of_every_section_has_its_description_for_editors() -> None:
    vocabulary = Vocabulary(BACKENDS)
    for section, model in vocabulary.sections.items():
        for key, facts in facts_of(model).items():
            assert SCHEMA["$defs"]["field"][f"{section}.{key}"]["description"] == facts.description
            assert f"{section}.{key}" in SCHEMA["properties"]["sweep"]["properties"]
    assert '"title"' not in json.dumps({k: v for k, v in SCHEMA.items() if k != "title"})


TAKEN: list[dict[str, Any]] = [
    {},
    {"model": {"source": "a/b", "revision": "main"}, "dataset": {"n": 3, "input_tokens": None}},
    {"dataset": "prompts.jsonl", "decoding": {"preset": "creative"}},
    {"name": "a.b-c", "execution": {"cycles": 3, "order": "latin_square", "budget_s": None}},
    {"runners": {"testbed": "docker:image:tag", "other": "local"}},
    {"testbed": {"batch_size": 3}},
    {"backend": "other", "other": {"compile": {"enabled": True}, "flags": ["a"], "environment": {"x": 1}}},
    {"sweep": {"backend": ["testbed", "other"], "other.compile.mode": ["fast"], "testbed.batch_size": [1, 2]}},
    {"sweep": {"dataset.n": {"min": 1, "max": 9, "num": 3}, "measurement.settle_s": {"log": [0.1, 10, 3]}}},
    {"sweep": {"dataset.n": {"pow2": [1, 64]}, "dataset.seed": {"log": {"min": 1, "max": 100, "num": 3}}}},
    {"sweep": {"model": ["a", {"source": "b", "revision": "c"}], "dataset": ["aienergyscore"]}},
    {"sweep": {"groups": [{"dataset.n": 1}, {"dataset": {"n": 2}}]}},
    {"sweep": {"groups": {"load": [{"dataset.n": 1}, {"dataset.n": 2}], "kind": [{"decoding.length": "natural"}]}}},
    {"experiments": [{"dataset.n": 1, "testbed": {"batch_size": 3}}, {"model": "x"}]},
]

REFUSED: list[dict[str, Any]] = [
    {"datset": {}},
    {"model": 3},
    {"model": ""},
    {"model": {"name": "x"}},
    {"backend": "vllm"},
    {"backend": ["testbed"]},
    {"dataset": {"n": 0}},
    {"dataset": {"n": "10"}},
    {"dataset": {"n": 1.5}},
    {"dataset": None},
    {"decoding": {"top_p": 0}},
    {"testbed": {"batchsize": 1}},
    {"name": "a b"},
    {"name": 3},
    {"execution": {"order": "random"}},
    {"execution": {"cycles": None}},
    {"runners": {"vllm": "local"}},
    {"runners": {"testbed": "docker image"}},
    {"runners": "local"},
    {"sweep": []},
    {"sweep": {"dataset.n": 3}},
    {"sweep": {"dataset.n": []}},
    {"sweep": {"dataset.n": [1, "x"]}},
    {"sweep": {"dataset.m": [1]}},
    {"sweep": {"execution.cycles": [1, 2]}},
    {"sweep": {"dataset.n": {"min": 1, "max": 3}}},
    {"sweep": {"dataset.n": {"pow2": [1]}}},
    {"sweep": {"testbed": {"batch_size": [1, 2]}}},
    {"sweep": {"groups": [{"dataset.m": 1}]}},
    {"experiments": {"dataset.n": 1}},
    {"experiments": [{"dataset.n": 0}]},
    {"experiments": [{"execution": {"cycles": 2}}]},
    {"testbed.batch_size": 3},
]


@pytest.mark.parametrize("more", TAKEN, ids=json.dumps)
def test_it_takes_what_llem_takes(more: dict[str, Any]) -> None:
    document = {**BASE, **more}
    assert is_taken(document)
    assert [error.message for error in VALIDATOR.iter_errors(document)] == []


@pytest.mark.parametrize("more", REFUSED, ids=json.dumps)
def test_it_refuses_what_llem_refuses(more: dict[str, Any]) -> None:
    document = {**BASE, **more}
    assert not is_taken(document)
    assert not VALIDATOR.is_valid(document)


@pytest.mark.parametrize(
    ("section", "key"),
    [(s, k) for s, m in Vocabulary(BACKENDS).sections.items() for k in facts_of(m)],
)
def test_it_bounds_each_field_as_its_model_does(section: str, key: str) -> None:
    facts = facts_of(Vocabulary(BACKENDS).sections[section])[key]
    for value in valid_values(facts):
        assert VALIDATOR.is_valid({**BASE, "experiments": [{f"{section}.{key}": value}]})
    for value in invalid_values(facts):
        if isinstance(value, float) and (
            value != value or value in (float("inf"), float("-inf")) or value.is_integer()
        ):
            continue  # JSON has neither NaN nor infinities, and holds 1.0 for a whole number
        assert not VALIDATOR.is_valid({**BASE, "experiments": [{f"{section}.{key}": value}]}), value


def _examples() -> list[Any]:
    found = [pytest.param(path.read_text(), id=path.name) for path in sorted((ROOT / "examples").glob("*.yaml"))]
    for path in sorted((ROOT / "docs").rglob("*.md")):
        blocks = re.findall(r"```yaml\n(.*?)```", path.read_text(), re.DOTALL)
        found += [pytest.param(block, id=f"{path.name}-{i}") for i, block in enumerate(blocks)]
    return found


@pytest.mark.parametrize("text", _examples())
def test_it_takes_the_examples_of_the_documentation(text: str) -> None:
    document = read_yaml(text, "example").data
    backends = dict(default_registry()[kinds.BACKENDS])
    if "pytorch" not in backends:
        backends["pytorch"] = BACKENDS["other"]  # core is tested without plugins too: then any section's shape will do
    runners = default_registry()[kinds.RUNNERS]
    scenarios = default_registry()[kinds.SCENARIOS]
    known = json_schema(backends, runners, scenarios)
    strangers = set(re.findall(r"\b(vllm|sglang|trtllm|slurm|ray)\b", text)) - set(backends) - set(runners)
    if "server" not in scenarios:
        strangers |= {"load", "slo", "server"}
    errors = [error.message for error in Draft202012Validator(known).iter_errors(document)]
    assert [message for message in errors if not any(name in message for name in strangers)] == []


def test_it_takes_the_demo_with_what_is_installed() -> None:
    backends = default_registry()[kinds.BACKENDS]
    document = read_yaml_file(ROOT / "examples" / "demo.yaml").data
    if document["backend"] in backends:
        assert Draft202012Validator(json_schema(backends)).is_valid(document)
