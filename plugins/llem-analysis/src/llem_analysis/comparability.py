"""Under which circumstances a configuration ran, and whether two may be compared."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llem.plugin_api import Environment, ExperimentResult, differing, of_machine, result_row
from llem_analysis.caveats import WAITING
from llem_analysis.row_environments import differences, environment_of, short_names

_NOT_TELLING = ("study.", "imported.", "variables.LLEM_")
"""Parts of the environment that differ by nature: provenance of the study and of imported values, llem's own variables."""


@dataclass(frozen=True)
class Difference:
    """A key that two results differ in; None where one of them lacks it.

    Attributes:
        lacking: one of them has no such key at all, as with options of another backend or packages of another image.
    """

    key: str
    base: Any
    other: Any
    lacking: bool = False


@dataclass(frozen=True)
class Objection:
    """A reason why a comparison is unsound.

    Attributes:
        code: stable word.
        text: what is the matter, a sentence.
        refused: what is not compared for it: `energy` or `all`; None for a warning.
    """

    code: str
    text: str
    refused: str | None = None


def configuration_differences(base: ExperimentResult, other: ExperimentResult) -> tuple[Difference, ...]:
    """Keys of the configuration, `limits` left out."""
    return _differences(base.config, other.config, leave=("limits.",))


def environment_differences(base: ExperimentResult, other: ExperimentResult) -> tuple[Difference, ...]:
    """Facts of the environment: machine, versions, drivers; GPUs by name, as the meters saw them."""
    told = base.environment.get("node") and other.environment.get("node")
    # In a container the host's name is the container's, another one for each experiment.
    leave = (*_NOT_TELLING, "machine.node") if told else _NOT_TELLING
    first = {**base.environment, "gpus": gpus(base)}
    second = {**other.environment, "gpus": gpus(other)}
    return _differences(first, second, leave=leave)


def gpus(result: ExperimentResult) -> str:
    """The GPUs that the experiment was metered on, `2 x NVIDIA A100`; empty where there were none."""
    names = [d.name for d in result.energy.devices if d.scope == "gpu"] if result.energy else []
    return ", ".join(f"{names.count(name)} x {name}" for name in sorted(set(names)))


def unlike(first: Environment, second: Environment) -> str | None:
    """A sentence where two results come from environments that are not alike; None where they are, or nothing is told."""
    if not differing(first, second):
        return None
    apart = " and ".join(differences([first, second]))
    one, other = short_names([first, second])
    return f"they ran in environments that differ in {apart} ({one}; {other}): the difference may be theirs"


def for_comparison(environment: Environment, *, same_backend: bool) -> Environment:
    """The facts that two configurations must have in common, whatever their work is: what they ran with and on.

    Another backend brings versions and an image of its own: there only llem's version has to agree.
    """
    told = of_machine(environment) if not same_backend else environment
    names = {name for name, _ in told.facts} - {"dataset", "model revision", "GPUs in use"}
    return environment.only(names if same_backend else {*names, "llem"})


def _environments(base: ExperimentResult, other: ExperimentResult) -> tuple[Environment, Environment]:
    """Circumstances of both sides, as far as their difference is not the work that is compared."""
    same = base.config["backend"] == other.config["backend"]
    first, second = (for_comparison(environment_of(result_row(r, "")), same_backend=same) for r in (base, other))
    return first, second


def apart(base: ExperimentResult, other: ExperimentResult) -> str | None:
    """A sentence where they ran in environments that are not alike."""
    return unlike(*_environments(base, other))


_OF_WORK = ("dataset.", "decoding.", "measurement.scenario", "load.")
_BATCH = ("batch_size", "max_num_seqs", "max_batch_size", "max_running_requests")


def work_differences(
    base: ExperimentResult, other: ExperimentResult, compared: Collection[str] = ()
) -> tuple[Difference, ...]:
    """In what the two did different work: model, prompts, tokens, length mode, scenario, batch.

    Args:
        compared: swept keys whose effect is what is compared; a batch size among them is no other work.
    """
    return tuple(_work_differences(base, other, compared))


def _work_differences(
    base: ExperimentResult, other: ExperimentResult, compared: Collection[str]
) -> Iterator[Difference]:
    first, second = dict(_facts_of_work(base)), dict(_facts_of_work(other))
    for key in dict.fromkeys([*first, *second]):
        one, two = first.get(key), second.get(key)
        if one is not None and two is not None and one != two:
            yield Difference(key, one, two)
    told = {*first, *second}
    for difference in configuration_differences(base, other):
        key = difference.key
        is_batch = key.rpartition(".")[2] in _BATCH and key not in compared
        if key not in told and not difference.lacking and (key.startswith(_OF_WORK) or is_batch):
            yield difference


def _facts_of_work(result: ExperimentResult) -> Iterator[tuple[str, Any]]:
    """Work that was computed, by the result's own account where it has one."""
    model, dataset, tokens = result.model, result.dataset, result.tokens
    yield "model", result.config["model"]["source"]
    yield "model revision", (model.revision if model else None) or result.config["model"].get("revision")
    yield "dataset", dataset.name if dataset else None
    yield "dataset sha256", dataset.sha256[:12] if dataset else None
    yield "dataset.n", dataset.n if dataset else None
    yield "length mode", result.work.replace("_", " ")
    yield "scenario", result.scenario
    # Under load the window's edges cut requests: with prompts and lengths that the study fixes its counts differ by that alone.
    fixed = "load" in result.config and result.work == "fixed_length"
    if tokens is not None and tokens.requests and not fixed:
        for name, count in (("input", tokens.input), ("output", tokens.output)):
            if count is not None:
                yield f"{name} tokens per request", float(f"{count / tokens.requests:.3g}")


def objections(base: ExperimentResult, other: ExperimentResult, *, same_study: bool) -> tuple[Objection, ...]:
    """The reasons why comparing these two is unsound; the gravest first.

    Args:
        same_study: both are of one study, which varied their difference on purpose.
    """
    return tuple(sorted(_objections(base, other, same_study), key=lambda d: (d.refused is None, d.refused != "all")))


def _objections(base: ExperimentResult, other: ExperimentResult, same_study: bool) -> Iterator[Objection]:
    if base.phases and (base.identity, base.phases) == (
        other.identity,
        other.phases,
    ):  # no other run has its nanoseconds
        yield Objection("same_run", "they are one and the same run, which tells nothing about itself.", "all")
    first, second = base.dataset, other.dataset
    if first is not None and second is not None and (first.name, first.sha256) != (second.name, second.sha256):
        text = f"they answered other prompts ({first.name} {first.sha256[:8]}, {second.name} {second.sha256[:8]})."
        # A study that varies its prompts means to; results of two studies that happen to differ in them are no comparison.
        yield Objection("other_dataset", text, None if same_study else "all")
    offline = base.scenario == other.scenario == "offline"
    if offline and base.config["backend"] != other.config["backend"] and base.latency and other.latency:
        yield Objection("other_queue", f"{WAITING}.")
    yield from _energy_objections(base, other)
    kinds = _environments(base, other)
    if different := unlike(*kinds):
        gpu = any(one.name == "GPU" for one in differing(*kinds))
        yield Objection("other_gpu" if gpu else "unlike_environments", f"{different}.")
    elif gpus(base) and gpus(other) and gpus(base) != gpus(other):
        yield Objection(
            "other_gpu", f"they ran on other GPUs ({gpus(base)}; {gpus(other)}): the difference is theirs too."
        )
    nodes = [r.environment.get("node") or (r.environment.get("machine") or {}).get("node") for r in (base, other)]
    if all(nodes) and nodes[0] != nodes[1]:
        yield Objection("other_machine", f"they ran on other machines ({nodes[0]}, {nodes[1]}).")


def _energy_objections(base: ExperimentResult, other: ExperimentResult) -> Iterator[Objection]:
    first = base.energy.headline if base.energy else None
    second = other.energy.headline if other.energy else None
    if first is None or second is None:
        return
    kinds = f"({first.scope} {first.method}, {second.scope} {second.method})"
    if (first.method == "estimate") != (second.method == "estimate"):
        yield Objection(
            "estimate_against_measured", f"one's energy is an estimate, the other's is measured {kinds}.", "energy"
        )
    elif first.scope != second.scope:
        yield Objection("other_scope", f"their energy is of other devices {kinds}.", "energy")
    elif first.method != second.method:
        yield Objection("other_method", f"their energy was measured in other ways {kinds}.")


def _differences(base: Mapping[str, Any], other: Mapping[str, Any], leave: tuple[str, ...]) -> tuple[Difference, ...]:
    first, second = dict(_flat(base)), dict(_flat(other))
    found = [
        Difference(key, first.get(key), second.get(key), lacking=key not in first or key not in second)
        for key in dict.fromkeys([*first, *second])
        if first.get(key) != second.get(key) and not key.startswith(leave)
    ]
    return tuple(sorted(found, key=lambda difference: difference.lacking))


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{path}.")
        else:
            yield path, value
