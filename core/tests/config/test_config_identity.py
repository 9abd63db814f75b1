"""Identity: the same for one experiment in whatever words, another for another, and stable across versions."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from config_backends import BACKENDS, SCENARIOS
from field_values import valid_values
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from llem.config.compose import Composer
from llem.config.experiment import SECTIONS
from llem.config.identity import config_hash, design_hash, section_text
from llem.config.introspect import facts_of
from llem.config.section import Section
from llem.config.study import ExecutionConfig

COMPOSER = Composer(BACKENDS, SCENARIOS)
BASE: dict[str, Any] = {"model": "random:tiny-llama", "backend": "testbed"}

GOLDEN = [
    (
        {},
        '[1,{"backend":"testbed","model":{"source":"random:tiny-llama"}}]',
        "3063a456634aca609b6749bd78723f293572456a864106d23042bb66a91fc2f5",
    ),
    (
        {
            "dataset": {"name": "synthetic", "n": 8, "input_tokens": 64, "output_tokens": 32},
            "testbed": {"batch_size": 4},
            "measurement": {"min_window_s": 0.5},
        },
        (
            '[1,{"backend":"testbed","dataset":{"input_tokens":64,"n":8,"name":"synthetic","output_tokens":32},'
            '"measurement":{"min_window_s":0.5},"model":{"source":"random:tiny-llama"},"options":{"batch_size":4}}]'
        ),
        "474dc6bfbddf0dc24c991231fcfe44764abd214b5f6859fea0be1d5fecdd49f4",
    ),
    (
        {
            "model": {"source": "modèle/ü", "revision": "main"},
            "backend": "other",
            "other": {"compile": {"enabled": True}, "environment": {"b": 2, "a": 1}, "flags": ["z", "a"]},
            "decoding": {"preset": "balanced"},
            "baseline": {"enabled": False},
            "warmup": {"max_prompts": 8},
        },
        (
            '[1,{"backend":"other","baseline":{"enabled":false},"decoding":{"temperature":0.7,"top_k":50,"top_p":0.95},'
            '"model":{"revision":"main","source":"mod\\u00e8le/\\u00fc"},'
            '"options":{"compile":{"enabled":true},"environment":{"a":1,"b":2},"flags":["z","a"]},'
            '"warmup":{"max_prompts":8}}]'
        ),
        "c9049ac37d6c3dbd82bc9f1b18c2242e06b9e1cdd45abb5c015dac5f6c46152b",
    ),
]


def identity(**sections: Any) -> str:
    return config_hash(COMPOSER.compose({**BASE, **sections}))


@pytest.mark.parametrize(("sections", "text", "digest"), GOLDEN)
def test_identities_do_not_change_from_version_to_version(sections: dict[str, Any], text: str, digest: str) -> None:
    """A failure here means that results of earlier versions no longer match: raise IDENTITY_VERSION on purpose only."""
    assert hashlib.sha256(text.encode()).hexdigest() == digest
    assert identity(**sections) == digest


@given(st.permutations(["dataset", "measurement", "testbed"]), st.permutations(["n", "seed", "output_tokens"]))
def test_the_order_of_keys_is_no_part_of_it(sections: list[str], fields: list[str]) -> None:
    values: dict[str, Any] = {
        "dataset": dict.fromkeys(fields, 7),
        "measurement": {"sample_hz": 5},
        "testbed": {"batch_size": 3},
    }
    assert identity(**{name: values[name] for name in sections}) == identity(**values)


@given(st.integers(0, 3600))
def test_a_whole_number_with_and_without_a_fraction_is_one(number: int) -> None:
    assert identity(measurement={"settle_s": number}) == identity(measurement={"settle_s": float(number)})


@pytest.mark.parametrize("section", sorted(SECTIONS.keys() - {"model"}))
def test_a_value_at_its_default_is_left_out(section: str) -> None:
    # With cycles of fields: each default written out, alone and all together.
    defaults = {key: facts.default for key, facts in facts_of(SECTIONS[section]).items()}
    assert identity(**{section: defaults}) == identity()
    for key, value in defaults.items():
        assert identity(**{section: {key: value}}) == identity()


def test_limits_say_when_an_experiment_is_given_up_and_not_what_it_is() -> None:
    assert identity(limits={"timeout_s": 1, "silence_timeout_s": 2}) == identity()


@pytest.mark.parametrize("section", ["measurement", "warmup", "testbed"])
def test_every_other_field_is_part_of_it(section: str) -> None:
    model = BACKENDS[section].config if section in BACKENDS else SECTIONS[section]
    for key, facts in facts_of(model).items():
        if key in {"ignored", "enabled", "max_prompts"}:
            continue  # without effect, or of effect on other fields: see the tests of resolution
        value = next(v for v in valid_values(facts) if v != facts.default and v not in (64, 1_000_000))
        assert identity(**{section: {key: value}}) != identity(), key


def test_a_new_field_with_a_neutral_default_changes_no_identity() -> None:
    class Before(Section):
        size: int = Field(1, description="size")

    class After(Section):
        added: str | None = Field(None, description="new in this version")
        size: int = Field(1, description="size")
        more: Before = Field(default_factory=Before, description="new too")

    assert section_text(Before(size=3)) == section_text(After(size=3)) == '{"size":3}'
    assert section_text(After(size=3, added="x", more=Before(size=2))) == '{"added":"x","more":{"size":2},"size":3}'


def test_sections_of_two_kinds_in_one_field_are_told_apart() -> None:
    class One(Section):
        size: int = Field(1, description="size")

    class Two(Section):
        size: int = Field(1, description="size")
        depth: int = Field(1, description="depth")

    class Holder(Section):
        inner: One | Two = Field(default_factory=One, description="either")

    assert section_text(Holder()) == "{}"
    assert section_text(Holder(inner=Two())) == '{"inner":{"depth":1,"size":1}}'


_DIGESTS = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=6)


@given(_DIGESTS, st.randoms())
def test_a_design_is_over_the_set_of_its_experiments(digests: list[bytes], random: Any) -> None:
    execution = ExecutionConfig()
    shuffled = digests + digests[:2]
    random.shuffle(shuffled)
    assert design_hash(shuffled, execution) == design_hash(digests, execution)
    assert design_hash([*digests, b"\xab" * 32], execution) != design_hash(digests, execution) or (
        b"\xab" * 32 in digests
    )


@pytest.mark.parametrize(
    ("execution", "same"),
    [
        ({"cycles": 2}, False),
        ({"order": "reversed"}, False),
        ({"order": "interleaved"}, False),
        ({"order": "shuffled"}, True),
        ({"experiment_gap_s": 1}, False),
        ({"cycle_gap_s": 1}, False),
        ({"experiment_gap_s": 30}, True),
        ({"seed": 1}, False),
        ({"timeout_s": 1}, True),
        ({"silence_timeout_s": 1}, True),
        ({"budget_s": 1}, True),
        ({"max_consecutive_failures": 1}, True),
        ({"max_experiments": 1}, True),
    ],
)
def test_a_design_holds_what_shapes_the_figures(execution: dict[str, Any], same: bool) -> None:
    plain = design_hash([bytes(32)], ExecutionConfig())
    assert (design_hash([bytes(32)], ExecutionConfig.model_validate(execution)) == plain) is same


def test_the_seed_counts_where_the_order_is_shuffled() -> None:
    one, two = (ExecutionConfig(order="shuffled", seed=seed) for seed in (1, 2))
    assert design_hash([bytes(32)], one) != design_hash([bytes(32)], two)


def test_the_identity_of_a_design_does_not_change_from_version_to_version() -> None:
    text = '[1,{"cycle_gap_s":120,"cycles":3,"experiment_gap_s":30,"order":"shuffled","seed":42}]'
    expected = hashlib.sha256(text.encode() + b"\x00" * 32 + b"\xff" * 32).hexdigest()
    found = design_hash([b"\xff" * 32, bytes(32)], ExecutionConfig(cycles=3, order="shuffled"))
    assert found == expected == "4b157228b167bf4da5c4255b88bdc750f52249c16f69effc16d2b1f2c6801021"
