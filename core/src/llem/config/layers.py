"""A study from its layers: command line, environment, study file, user file; defaults stand in the models.

`load_study` is the one door. It reads, merges and checks everything that shows before the sweep is expanded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from llem.config.backend_choice import choose_backend, drop_unused, one_of, raise_missing
from llem.config.backends_in_use import backends_in_use, sections_without_scenario, unused_sections
from llem.config.checks import default_limits, lacks_model, problems_in_study
from llem.config.compose import Backend, Scenario
from llem.config.environment import CONFIG_FILE, from_environment, read_settings
from llem.config.git import GitCommit, commit_of
from llem.config.keys import STUDY_KEYS, HasOptions, Vocabulary
from llem.config.merging import Layer, Merged, Origin, expanded, give_way, nested
from llem.config.problems import Problem, dotted, raise_all
from llem.config.reading import Document, read_yaml_file
from llem.config.study import StudyConfig
from llem.errors import ConfigError

Key = Sequence[str | int]

_PATHS = (("model", "source"), ("model", "tokenizer"), ("dataset", "path"))


@dataclass(frozen=True)
class LoadedStudy:
    """A study with its layers merged.

    Attributes:
        config: the study; its base, sweep and experiments hold what all layers together say.
        origins: dotted key of each value that a layer gave to where it came from; what is not in it has its default.
        base_dir: the folder that relative paths start from: the study file's, else the current one.
        path: the study file, or None.
        notes: what a reader should know, such as an axis that the command line replaced.
        text: the study file as the user wrote it, or None.
    """

    config: StudyConfig
    origins: Mapping[str, Origin]
    base_dir: Path
    path: Path | None = None
    notes: Sequence[str] = ()
    text: str | None = None
    _study: Callable[[Key], str] = field(default=dotted, repr=False, compare=False)

    def locate(self, key: Key) -> str:
        """Where a key was given: `study.yaml:4:3`, a variable's name, `command line`; else its nearest ancestor's place."""
        for length in range(len(key), 0, -1):
            name = ".".join(map(str, key[:length]))
            origin = self.origins.get(name) or _origin_inside(name, self.origins)
            if origin is not None:
                return origin.where or origin.kind
        return self._study(key)

    def git_commit(self) -> GitCommit | None:
        """The commit that the study file stands at; None without a file, outside a repository, or without git. Runs git."""
        return commit_of(self.path) if self.path is not None else None


def _origin_inside(key: str, origins: Mapping[str, Origin]) -> Origin | None:
    """Where a mapping came from that stands in no study file, only in layers around it: its first value's origin."""
    inside = [origin for name, origin in origins.items() if name.startswith(f"{key}.")]
    return inside[0] if inside and all(origin.kind != "study file" for origin in inside) else None


def user_file_path(environ: Mapping[str, str]) -> Path:
    """Where the user's own configuration is: `LLEM_CONFIG_FILE`, else `llem/config.yaml` in their configuration folder."""
    if environ.get(CONFIG_FILE):
        return Path(environ[CONFIG_FILE]).expanduser()
    if environ.get("XDG_CONFIG_HOME"):
        return Path(environ["XDG_CONFIG_HOME"]) / "llem" / "config.yaml"
    import platformdirs

    return platformdirs.user_config_path("llem") / "config.yaml"


def load_study(
    path: Path | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    settings: Sequence[str] = (),
    document: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    user_file: Path | None = None,
    user: Document | None = None,
    base_dir: Path | None = None,
    backends: Mapping[str, Backend],
    find_backend: Callable[[str], object] | None = None,
    runners: Mapping[str, HasOptions] | None = None,
    scenarios: Mapping[str, Scenario] | None = None,
    complete: bool = True,
) -> LoadedStudy:
    """Load a study.

    Args:
        path: the study file; None where `document` or `overrides` say all.
        overrides: dotted keys to values, from the command line (`dataset.n`, `execution.cycles`, `runners.vllm`).
        settings: `KEY=VALUE` of the command line, over `overrides`; see `llem.config.environment.value_of`.
        document: a study as plain data, in place of a file.
        environ: variables, by default the process's own.
        user_file: the user's file, by default as `user_file_path` says. Need not exist where it is the default.
        user: what stands in for the user's file; then none is read.
        base_dir: the folder that relative paths start from, by default the study file's, else the current one.
        backends: what is installed, by name.
        find_backend: asked for a backend that is used and not in `backends`; raises with the reason (`Registry.backend`).
        runners: runners that are installed, by name; each may bring options of its own.
        scenarios: likewise; each may bring sections of an experiment.
        complete: require a model and a backend; False to look at a configuration that is no study yet.

    Raises:
        ConfigError: whatever is wrong with it, all at once.
        PluginError: it uses a backend that is not installed.
    """
    variables = os.environ if environ is None else environ
    vocabulary = Vocabulary(backends, runners, scenarios)
    study = read_yaml_file(path) if path is not None else None
    merged = Merged(vocabulary)

    user = _user_document(user_file, variables) if user is None else user
    if user is not None:
        merged.add(_user_layer(user))
    locate_study = study.locate if study is not None else _locate_argument
    merged.add(Layer(_study_data(study, document), partial(_study_origin, study)))
    typed_in = Path.cwd() if base_dir is None else base_dir
    if base_dir is None:
        base_dir = path.resolve().parent if path is not None else Path.cwd()
    given = {**(overrides or {}), **read_settings(settings, vocabulary)}
    above = _above(merged, given, variables, vocabulary, base_dir, typed_in)
    if isinstance(merged.data.get("experiments"), list):
        merged.data["experiments"] = [
            {key: expanded(key, value, vocabulary) for key, value in e.items()} if isinstance(e, dict) else e
            for e in merged.data["experiments"]
        ]
    merged.notes += give_way(above, merged.data, vocabulary)
    _forget_sweep_origins(merged)

    data = merged.data
    for name in default_limits(data):
        merged.origins[f"limits.{name}"] = merged.origins[f"execution.{name}"]
    loaded = partial(
        LoadedStudy,
        origins=merged.origins,
        base_dir=base_dir,
        path=path,
        notes=tuple(merged.notes),
        text=study.text if study is not None else None,
        _study=locate_study,
    )
    choose_backend(merged, vocabulary)
    locate = loaded(StudyConfig()).locate
    used = backends_in_use(data)
    missing = frozenset(name for name in used if name not in backends)
    drop_unused(merged, vocabulary, used)

    problems = list(problems_in_study(data, vocabulary, missing))
    if used and not missing:
        problems += unused_sections(data, vocabulary, used)
        problems += sections_without_scenario(data, vocabulary)
    if complete and not any(p.key[:1] == ("model",) for p in problems) and lacks_model(data):
        problems.append(
            Problem(("model",), message="is missing", accepted="a hub id, a folder, a .gguf file, pkg:…, or random:…")
        )
    if complete and not used and "backend" not in data:
        problems.append(Problem(("backend",), message="is missing", accepted=one_of(vocabulary.backends)))
    if missing:
        others = [(locate(p.key), p.text) for p in problems]
        raise_missing({name: locate(used[name]) for name in missing}, others, vocabulary, find_backend)
    raise_all(problems, locate)
    return loaded(_config(data))


def _config(data: Mapping[str, Any]) -> StudyConfig:
    own = {key: data[key] for key in STUDY_KEYS if key in data}
    return StudyConfig.model_validate({**own, "base": {k: v for k, v in data.items() if k not in STUDY_KEYS}})


def _user_document(user_file: Path | None, environ: Mapping[str, str]) -> Document | None:
    path = user_file if user_file is not None else user_file_path(environ)
    asked_for = user_file is not None or bool(environ.get(CONFIG_FILE))
    if not asked_for and not path.exists():
        return None
    if user_file is None and not path.exists():
        raise ConfigError(
            f"the variable {CONFIG_FILE} names {path}, which does not exist.",
            remedy="Correct the variable, or unset it.",
        )
    return read_yaml_file(path, may_be_empty=True)


def _user_layer(user: Document) -> Layer:
    for key in ("sweep", "experiments"):
        if key in user.data:
            raise ConfigError(
                f"`{key}` stands in the user file.", where=user.locate((key,)), remedy="It belongs in a study file."
            )
    return Layer(user.data, lambda key: Origin("user file", user.locate(key)))


def _study_data(study: Document | None, document: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if study is not None:
        return study.data
    if document is None:
        return {}
    wrong = next((key for key in document if not isinstance(key, str)), None)
    if wrong is not None:
        raise ConfigError(f"the key {wrong!r} of the study is not text.")
    return document


def _study_origin(study: Document | None, key: Key) -> Origin:
    return Origin("argument") if study is None else Origin("study file", study.locate(key))


def _locate_argument(key: Key) -> str:
    return "study"


def _above(
    merged: Merged,
    overrides: Mapping[str, Any],
    environ: Mapping[str, str],
    vocabulary: Vocabulary,
    base_dir: Path,
    typed_in: Path,
) -> dict[str, Any]:
    """Lay environment and command line over the rest; returns what the two set together."""
    variables = from_environment(environ, vocabulary)
    by_variable = {key: name for key, (name, _) in variables.items()}
    top = Merged(vocabulary)
    for key in ("sweep", "experiments"):
        if any(k.split(".")[0] == key for k in overrides):
            raise ConfigError(
                f"`{key}` cannot be given on the command line.",
                where="command line",
                remedy="Write it in a study file.",
            )
    by_environment = nested({key: value for key, (_, value) in variables.items()}, vocabulary)
    by_command = nested(overrides, vocabulary)
    for layer in (
        Layer(_anchored(by_environment, base_dir, typed_in), partial(_variable_origin, by_variable)),
        Layer(_anchored(by_command, base_dir, typed_in), lambda key: Origin("command line")),
    ):
        merged.add(layer)
        top.add(layer)
    return top.data


def _anchored(data: dict[str, Any], base_dir: Path, here: Path) -> dict[str, Any]:
    """A relative path that is typed names a file from where it is typed, not from the study's folder."""
    for section, name in _PATHS if here != base_dir else ():
        value = data.get(section)
        text = value.get(name) if isinstance(value, dict) else None
        if not isinstance(value, dict) or not isinstance(text, str) or not text:
            continue
        if "\0" not in text and len(text) < 4096 and (here / text).exists():
            data[section] = {**value, name: str(here / text)}
    return data


def _variable_origin(by_variable: Mapping[str, str], key: Key) -> Origin:
    names = [by_variable[k] for k in (".".join(map(str, key[:n])) for n in range(len(key), 0, -1)) if k in by_variable]
    return Origin("environment", names[0] if names else None)


def _forget_sweep_origins(merged: Merged) -> None:
    """Positions inside sweep and experiments are asked of the study file itself: entries may have given way."""
    for key in [k for k in merged.origins if k.split(".")[0] in {"sweep", "experiments"}]:
        del merged.origins[key]
