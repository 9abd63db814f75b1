"""The folder that a bundle's study runs in again: its study file, the files that it names, and nothing that leads outside."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from llem.plugin_api import (
    BACKENDS,
    SCENARIOS,
    ConfigError,
    PluginError,
    Registry,
    ResultError,
    Sweep,
    inside,
    installed_parts,
    load_study,
    read_object,
)
from llem_bundle.figures import at
from llem_bundle.named_files import NamedFile, named_files, renamed
from llem_bundle.prompt_files import INDEX, digest_of, digests_of_prompts
from llem_bundle.replica_study import Original, document_again
from llem_bundle.verifying import readable

STUDY = "study.yaml"
RESULTS = "results"
_FILES = "files"
_TAKEN = (STUDY, RESULTS, _FILES)
_SHAPES = (
    "cycles",
    "until",
    "search",
    "run_all",
    "order",
    "seed",
    "placement",
    "parallel",
    "experiment_gap_s",
    "cycle_gap_s",
)
"""Settings of the execution that shape figures; limits and the way in which workers start are the machine's own."""


@dataclass(frozen=True)
class Replica:
    """A folder that is ready to run.

    Attributes:
        notes: what is not as it was, or what its study does that a reader should know, a clause each.
    """

    folder: Path
    notes: tuple[str, ...]

    @property
    def study(self) -> Path:
        """Its study file."""
        return self.folder / STUDY

    @property
    def results(self) -> Path:
        """The folder that results go to."""
        return self.folder / RESULTS


def prepare_replica(
    original: Original, bundle: Path, unpacked: Path, folder: Path, registry: Registry, data: Path | None = None
) -> Replica:
    """Write the folder, whole or not at all.

    Args:
        unpacked: the bundle's files.
        data: a folder with files that the bundle does not have.

    Raises:
        ConfigError: the folder exists, a file is missing, or this machine's settings change the study.
        ResultError: a file is not the one that was measured with.
        PluginError: a backend is not installed.
    """
    if os.path.lexists(folder):
        raise ConfigError(
            "it exists, and nothing is overwritten.", where=str(folder), remedy="Name another place: --output FOLDER."
        )
    with readable(bundle, "study.json"):
        document, notes = document_again(original)
    named = named_files(document)
    sources = _sources(named, bundle, unpacked, data)
    places = _places(named)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        for text, source in sources.items():
            _copy(source, inside(made, places[text].removeprefix("./")))
        (made / STUDY).write_text(_text(renamed(document, places.__getitem__), bundle), encoding="utf-8")
        alone, here = _alone(made / STUDY, bundle, registry), _meaning(made / STUDY, registry, {})
        _refuse_other(alone, here)
        made.chmod(0o755)
        made.rename(folder)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    if here.own:
        notes.append(f"settings of your own hold too, and change no configuration: {', '.join(here.own)}")
    searched = at(document, "execution.search.goal") is not None  # a search makes its configurations as it goes
    if not searched and (at_other := len(original.hashes - alone.hashes)):
        notes.append(
            f"{at_other} of {len(original.hashes)} configurations have another identity than in the bundle; such are matched by the "
            "settings that they vary"
        )
    return Replica(folder, (*notes, *_runs_code(document)))


def _places(named: list[NamedFile]) -> dict[str, str]:
    """Place in the folder of each file: as the study names it where that leads nowhere else, so that it keeps its identity."""
    found: dict[str, str] = {}
    for number, one in enumerate(named, 1):
        parts = one.text.removeprefix("./").split("/")
        kept = all(part not in ("", ".", "..") for part in parts) and not one.text.startswith("~")
        if kept and parts[0] not in _TAKEN and not parts[0].startswith("."):
            found[one.text] = one.text
        else:
            relative = f"{_FILES}/{number}/{PurePosixPath(one.text).name or 'file'}"
            # A model's folder needs its sign, or it would be taken for the id of a hub.
            found[one.text] = relative if one.of_prompts else f"./{relative}"
    return found


def _sources(named: list[NamedFile], bundle: Path, unpacked: Path, data: Path | None) -> dict[str, Path]:
    """The origin of each file: the bundle, else the folder that the user names."""
    index = read_object(unpacked / INDEX, "index of files") if (unpacked / INDEX).is_file() else {}
    known = digests_of_prompts(unpacked)
    found: dict[str, Path] = {}
    missing = []
    for one in named:
        if isinstance(name := index.get(one.text), str):
            source: Path | None = inside(unpacked, name)
        else:
            source = next((path for path in _candidates(one, data) if path.exists()), None)
        if source is None:
            digests = " or ".join(sorted(known.get(one.text, ())))
            missing.append(f"{one.key}: {one.text}" + (f" (SHA-256 {digests})" if digests else ""))
            continue
        if (wanted := known.get(one.text)) and digest_of(source) not in wanted:
            raise ResultError(
                f"it is not the file that was measured with: the bundle's results tell of one with SHA-256 {' or '.join(sorted(wanted))}.",
                where=str(source),
                remedy="Give that one, under its name, in the folder of --data.",
            )
        found[one.text] = source
    if missing:
        raise ConfigError(
            f"its study names files that are not in the bundle: {'; '.join(missing)}.",
            where=str(bundle),
            remedy="Put them into a folder, by their names, and give it: --data FOLDER. Who made the bundle can put prompts in: "
            "llem bundle --with-prompts.",
        )
    return found


def _candidates(one: NamedFile, data: Path | None) -> Iterator[Path]:
    path = PurePosixPath(one.text)
    if data is not None and path.name not in ("", "..", "~"):
        yield data / path.name


def _copy(source: Path, target: Path) -> None:
    """Copy a file, or a model's folder; what links lead to is copied, not the links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def _text(document: Mapping[str, Any], bundle: Path) -> str:
    head = (
        f"# The study of {bundle.name}, written by llem replicate: all that its file, command line, variables and user file said.\n"
        "# A study can name code to run: models that bring some, images, commands of servers. Read it before you run a stranger's.\n"
    )
    # By way of JSON, so that nothing but plain data is written.
    plain = json.loads(json.dumps(document, default=str))
    return head + yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120)


@dataclass(frozen=True)
class _Meaning:
    """A study as it will run.

    Attributes:
        hashes: identities of its configurations.
        execution: what else shapes its figures.
        own: keys that variables or the user file of this machine set, with where.
    """

    hashes: frozenset[str]
    execution: Mapping[str, Any]
    own: tuple[str, ...]


def _alone(study: Path, bundle: Path, registry: Registry) -> _Meaning:
    """The study by itself, with no variable and no user file of this machine.

    What this llem does not understand is told of the bundle, since the file will be gone.
    """
    try:
        with tempfile.NamedTemporaryFile(suffix=".yaml") as nothing:
            return _meaning(study, registry, {"environ": {}, "user_file": Path(nothing.name)})
    except PluginError as error:
        raise PluginError(error.what, where=str(bundle), remedy=error.remedy) from error
    except ConfigError as error:
        what = error.what.replace(f"{study}:", "line ").replace(str(study), STUDY)
        raise ConfigError(
            f"its study is not one that this llem runs: {what}", where=str(bundle), remedy=error.remedy
        ) from error


def _meaning(study: Path, registry: Registry, layers: Mapping[str, Any]) -> _Meaning:
    loaded = load_study(study, **layers, **installed_parts(registry))
    sweep = Sweep(loaded.config, registry[BACKENDS], registry[SCENARIOS], loaded.locate, loaded.base_dir)
    execution = loaded.config.execution.model_dump(mode="json", include=set(_SHAPES))
    own = [f"{key} ({one})" for key, one in loaded.origins.items() if one.kind in ("environment", "user file")]
    return _Meaning(frozenset(digest.hex() for digest in sweep.digests()), execution, tuple(own))


def _refuse_other(alone: _Meaning, here: _Meaning) -> None:
    """Raise where variables or the user file of this machine make another study of it."""
    if (alone.hashes, alone.execution) != (here.hashes, here.execution):
        raise ConfigError(
            f"settings of your own change this study, so that it would not be the same: {', '.join(here.own)}.",
            remedy="Unset them for this run: the variables, or the file by LLEM_CONFIG_FILE=EMPTY.yaml.",
        )


def _runs_code(document: Mapping[str, Any]) -> Iterator[str]:
    text = json.dumps(document, default=str)
    if '"trust_remote_code": true' in text or '"model.trust_remote_code"' in text:
        yield "its study runs code that a model brings along (`model.trust_remote_code`)"


def _unwritable(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"it cannot be written: {error.strerror or error}.",
        where=str(error.filename or folder),
        remedy="Name another place: --output FOLDER.",
    )
