"""Values from `LLEM_…` variables and from `--set KEY=VALUE`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llem.config import constraints
from llem.config.introspect import facts_of
from llem.config.keys import RUNNER_OPTIONS, Vocabulary
from llem.config.reading import read_value
from llem.config.study import ExecutionConfig
from llem.errors import ConfigError
from llem.spelling import closest

PREFIX = "LLEM_"
RUNNER_PREFIX = "LLEM_RUNNER_"
CONFIG_FILE = "LLEM_CONFIG_FILE"

RESERVED: Mapping[str, str] = {
    CONFIG_FILE: "the user file, instead of the one in the user's configuration folder",
    "LLEM_DEBUG": "1: tracebacks of errors are printed",
    "LLEM_HOST_PID": "set by a runner in everything that it starts here: the pid of llem, whose CPU time is the experiment's",
    "LLEM_JOB_ID": "set by a runner in everything that it starts, to find what outlives it",
    "LLEM_LOCK_DIR": "the folder of this machine's lock, by which two llem that measure on it wait for each other",
    "LLEM_NODE": "set by a runner in its workers: the node's name, where that is not the host name",
    "LLEM_NODE_EXCLUSIVE": "set by a runner in its workers: 1 where the node is the experiment's alone, 0 where it is not",
}
"""Variables that are no value of a study, with what they do."""

OPTION_PREFIX = "LLEM_RUNNER_OPTIONS_"


def variable_of(key: str) -> str:
    """The variable that sets a dotted key: `pytorch.batch_size` to `LLEM_PYTORCH_BATCH_SIZE`."""
    return PREFIX + key.upper().replace(".", "_").replace("-", "_")


def from_environment(environ: Mapping[str, str], vocabulary: Vocabulary) -> dict[str, tuple[str, Any]]:
    """Dotted key to the variable's name and its value. An empty variable counts as unset.

    Raises:
        ConfigError: variables that are not known, all at once, each with the nearest one; or a value that is not YAML.
    """
    given = {n: v for n, v in environ.items() if _may_be_value(n) and v != ""}
    if not given:
        return {}
    known: dict[str, list[str]] = {}
    for key in vocabulary.settings:
        known.setdefault(variable_of(key), []).append(key)
    for backend in vocabulary.backends:
        known[RUNNER_PREFIX + backend.upper().replace("-", "_")] = [f"runners.{backend}"]
    wrong = [_unknown(name, [*known, *RESERVED], vocabulary.backends) for name in sorted(given) if name not in known]
    if wrong:
        raise ConfigError(
            " ".join(wrong),
            remedy="Unset what is not meant for llem; `llem config show` lists the keys that there are.",
        )
    values: dict[str, tuple[str, Any]] = {}
    for name, text in given.items():
        if len(known[name]) > 1:
            raise ConfigError(
                f"the variable {name} could mean {' or '.join(known[name])}.", remedy="Use --set with the dotted key."
            )
        values[known[name][0]] = (name, value_of(known[name][0], text, vocabulary, name))
    return values


def _may_be_value(name: str) -> bool:
    return name.startswith(PREFIX) and name not in RESERVED


def _unknown(name: str, known: Sequence[str], backends: Sequence[str]) -> str:
    whole = name.replace(PREFIX, OPTION_PREFIX, 1)
    if option := closest(whole, [n for n in known if n.startswith(OPTION_PREFIX)], 0.95):
        return f"the environment variable {name} is unknown: {option} sets that option of its runner."
    near = closest(name, known, 0.8)
    if name.startswith(RUNNER_PREFIX):
        near = closest(name, known, 0.85)
        if not near:
            return (
                f"the environment variable {name} names the runner of a backend that is not installed; "
                f"there is: {', '.join(backends) or 'none'}."
            )
    return f"the environment variable {name} is unknown{f'; did you mean {near}?' if near else '.'}"


def read_settings(settings: Sequence[str], vocabulary: Vocabulary) -> dict[str, Any]:
    """The settings of `--set KEY=VALUE`, dotted key to value, as the `overrides` of `load_study`.

    Raises:
        ConfigError: an entry without `=`, a key twice, or a value that is not YAML. Unknown keys are left to `load_study`.
    """
    values: dict[str, Any] = {}
    for entry in settings:
        key, equals, text = entry.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ConfigError(f"`--set {entry}` is not KEY=VALUE.", remedy="Write for example --set dataset.n=20.")
        if not all(key.split(".")):
            raise ConfigError(f"`{key}` is no dotted key.", where="command line", remedy="Write --set dataset.n=20.")
        if key in values:
            raise ConfigError(f"`--set {key}` is given twice.", remedy="Keep one of them.")
        values[key] = value_of(key, text, vocabulary, f"--set {key}")
    return values


def value_of(key: str, text: str, vocabulary: Vocabulary, name: str) -> Any:
    """One value by YAML's rules; where its key takes text only, as it stands (`model.revision=1234567`, `name=no`).

    Raises:
        ConfigError: the text is not a YAML value.
    """
    if _takes_only_text(key, vocabulary):
        if text in {"null", "~"} and key not in {"model", "dataset", "backend", "name"}:
            return None
        if text[:1] not in {'"', "'", "{", "["}:
            return text
    return read_value(text, name)


def _takes_only_text(key: str, vocabulary: Vocabulary) -> bool:
    section, _, rest = key.partition(".")
    if key in {"model", "dataset", "backend", "name"} or section == "runners":
        return True
    model = ExecutionConfig if section == "execution" else vocabulary.sections.get(section)
    if section == RUNNER_OPTIONS:
        runner, _, rest = rest.partition(".")
        model = vocabulary.runner_options.get(runner)
    facts = facts_of(model).get(rest) if model is not None else None
    if facts is None:
        return False
    kinds = [o.get("type") for o in constraints.alternatives(facts.schema) if o.get("type") != "null"]
    return bool(kinds) and all(kind == "string" for kind in kinds)
