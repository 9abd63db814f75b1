"""The core's own sections, resolved: presets written out, and fields without effect at their default.

Two sections of the same effect come to the same one, so that they are one experiment. A value that a section cannot
use at all (a `split` of a dataset that has none) is a problem instead, for whoever wrote it expects something of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from llem.config.experiment import BaselineConfig, DatasetConfig, DecodingConfig, WarmupConfig
from llem.config.problems import Problem
from llem.config.section import Section

S = TypeVar("S", bound=Section)

PRESETS: dict[str, dict[str, float | int]] = {
    "greedy": {"temperature": 0.0},
    "precise": {"temperature": 0.3, "top_p": 0.9},
    "balanced": {"temperature": 0.7, "top_k": 50, "top_p": 0.95},
    "creative": {"temperature": 1.0, "min_p": 0.05},
}
"""The fields that each `decoding.preset` stands for; one that is given beside it wins."""

DATASET_FIELDS: dict[str, frozenset[str]] = {
    "aienergyscore": frozenset({"chat_template"}),
    "aienergyscore:official": frozenset({"path", "chat_template"}),
    "jsonl": frozenset({"path", "field", "chat_template"}),
    "hub": frozenset({"path", "field", "split", "revision", "chat_template"}),
    "synthetic": frozenset(),
}
"""Fields that not every dataset has, by the datasets of llem that use them; a plugin's dataset may use any."""

_NEEDS: dict[str, tuple[str, str]] = {
    "synthetic": ("input_tokens", "how many tokens each prompt has, such as 128"),
    "jsonl": ("path", "the file, such as prompts.jsonl"),
    "hub": ("path", "the id of the dataset on the hub, such as AIEnergyScore/text_generation"),
}
_OPTIONAL = ("path", "field", "split", "revision", "chat_template", "prefix_share")


def resolve_section(name: str, section: Section) -> Section:
    """The canonical section of the same effect. Idempotent.

    Args:
        name: the key under which the section stands.
        section: as validated; `model_fields_set` says what was given explicitly.
    """
    rule = _RULES.get(name)
    return rule(section) if rule else section


def section_problems(name: str, section: Section) -> list[Problem]:
    """Problems between fields of one section, beyond what its model checks. Keys start with `name`."""
    return list(_dataset_problems(section)) if isinstance(section, DatasetConfig) else []


def _resolve_decoding(section: DecodingConfig) -> DecodingConfig:
    values: dict[str, Any] = {name: getattr(section, name) for name in DecodingConfig.model_fields}
    preset = PRESETS.get(values["preset"] or "", {})
    values.update({name: value for name, value in preset.items() if name not in section.model_fields_set})
    values["preset"] = None
    if not values["temperature"]:
        # One way to say greedy. Without sampling nothing below it is ever looked at.
        values.update(temperature=None, top_k=None, top_p=None, min_p=None, seed=_default(DecodingConfig, "seed"))
    if values["top_p"] == 1.0:
        values["top_p"] = None
    if not values["min_p"]:
        values["min_p"] = None
    if values["repetition_penalty"] == 1.0:
        values["repetition_penalty"] = None
    return _with(section, values)


def _resolve_dataset(section: DatasetConfig) -> DatasetConfig:
    synthetic = section.name == "synthetic"
    changes: dict[str, Any] = {}
    if synthetic:
        changes["shuffle"] = False
    if not synthetic and not section.shuffle and section.name in DATASET_FIELDS:
        changes["seed"] = _default(DatasetConfig, "seed")
    return _with(section, changes)


def _dataset_problems(section: DatasetConfig) -> Iterator[Problem]:
    needed = _NEEDS.get(section.name)
    if needed and getattr(section, needed[0]) is None:
        yield Problem(
            key=("dataset", needed[0]),
            message=f"is missing: the dataset {section.name} needs it",
            accepted=needed[1],
        )
    used = DATASET_FIELDS.get(section.name)
    if used is None:
        return
    for name in _OPTIONAL:
        value = getattr(section, name)
        if name not in used and value != _default(DatasetConfig, name):
            takers = sorted(dataset for dataset, fields in DATASET_FIELDS.items() if name in fields)
            yield Problem(
                key=("dataset", name),
                found=value,
                message=f"has no effect on the dataset {section.name}; leave it out",
                accepted=f"only with {''.join(f'{taker}, or ' for taker in takers)}a dataset of a plugin",
                nearest=None,
            )


def _resolve_warmup(section: WarmupConfig) -> WarmupConfig:
    return section if section.enabled else WarmupConfig(enabled=False)


def _resolve_baseline(section: BaselineConfig) -> BaselineConfig:
    if not section.enabled:
        return BaselineConfig(enabled=False)
    return section if section.cache else _with(section, {"max_age_s": _default(BaselineConfig, "max_age_s")})


def _default(model: type[Section], name: str) -> Any:
    return model.model_fields[name].get_default(call_default_factory=True)


def _with(section: S, values: dict[str, Any]) -> S:
    changes = {name: value for name, value in values.items() if getattr(section, name) != value}
    return section.model_copy(update=changes) if changes else section


_RULES: dict[str, Callable[[Any], Section]] = {
    "decoding": _resolve_decoding,
    "dataset": _resolve_dataset,
    "warmup": _resolve_warmup,
    "baseline": _resolve_baseline,
}
