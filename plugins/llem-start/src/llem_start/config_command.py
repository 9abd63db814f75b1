"""`llem config`: what a study's values are and where they came from; the JSON Schema; a study to start from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llem.plugin_api import BACKENDS, RUNNERS, SCENARIOS, installed_backends, settings_keys

if TYPE_CHECKING:
    from llem.plugin_api import LoadedStudy, Registry


@click.group()
def config() -> None:
    """Show, describe or begin a configuration.

    \b
    Examples:
      llem config init all-keys.yaml           a study with every key, commented; `llem init` writes a short one
      llem config show study.yaml              each value, and where it came from
      llem config schema --output llem.schema.json
    """


@config.command()
@click.argument("study", metavar="[STUDY.yaml]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=settings_keys,
    help="As for `llem run`; repeatable.",
)
@click.option(
    "--all", "everything", is_flag=True, help="Also the sections of backends and runners that the study does not use."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def show(registry: Registry, study: Path | None, settings: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Show each value and where it came from.

    From the highest: command line, environment (LLEM_…), study file, user file, defaults. Without a study: what the
    user file and the environment add to the defaults.

    \b
    Examples:
      llem config show study.yaml
      llem config show study.yaml --set dataset.n=20 --json
      llem config show --all
    """
    from llem.plugin_api import Origin, Sweep, installed_parts, load_study, one_line, table
    from llem_start.template import yaml_value

    loaded = load_study(
        study,
        settings=settings,
        **installed_parts(registry),
        complete=study is not None,
    )
    # Reading the sweep finds what is wrong with its axes; no point of it is expanded.
    points = (
        Sweep(loaded.config, registry[BACKENDS], registry[SCENARIOS], loaded.locate).size if study is not None else None
    )
    rows = list(_values(loaded, registry, everything=everything))
    swept = _swept(loaded)
    if as_json:
        values = {
            key: {"value": value, "origin": kind, "where": where, "swept": swept(key)}
            for key, value, kind, where in rows
        }
        document = {"values": values, "points": points, "notes": list(loaded.notes)}
        click.echo(json.dumps(document, ensure_ascii=False, indent=1))
        return
    lines = [
        [key, one_line(yaml_value(value), 70), f"{Origin(kind, where)}{', swept below' if swept(key) else ''}"]
        for key, value, kind, where in rows
    ]
    click.echo(table(["key", "value", "from"], lines, left=3))
    if points is not None and points > 1:
        click.echo(f"\n{points:,} points. `llem run {study} --dry-run` checks and lists them.")
    for note in loaded.notes:
        click.echo(f"Note: {note}")


def _swept(loaded: LoadedStudy) -> Callable[[str], bool]:
    """A test of keys: true for one whose values an axis or a group of the sweep gives."""
    from llem.plugin_api import group_entries

    sweep = loaded.config.sweep
    axes = {key for key in sweep if key != "groups"} | {key for _, entry in group_entries(sweep) for key in entry}
    return lambda key: any(key == axis or key.startswith(f"{axis}.") for axis in axes)


def _values(loaded: LoadedStudy, registry: Registry, *, everything: bool) -> Iterator[tuple[str, Any, str, str | None]]:
    """Dotted key, value, kind of origin and its place: of every field, given or at its default."""
    from llem.plugin_api import RUNNER_OPTIONS, ExecutionConfig, Vocabulary, backends_in_use, facts_of

    vocabulary = Vocabulary(registry[BACKENDS], registry[RUNNERS], registry[SCENARIOS])
    study, base = loaded.config, loaded.config.base
    used = backends_in_use({**base, "sweep": study.sweep, "experiments": study.experiments})

    def row(key: str, value: Any) -> tuple[str, Any, str, str | None]:
        for name in _ancestors(key):
            if name in loaded.origins:
                origin = loaded.origins[name]
                return key, value, origin.kind, origin.where
        return key, value, "default", None

    yield row("name", study.name)
    yield row("backend", base.get("backend"))
    execution = study.execution.model_dump(mode="json")
    sections = {**vocabulary.sections, "execution": ExecutionConfig}
    for section, model in sections.items():
        if section in vocabulary.backends and section not in used and not everything:
            continue
        given = execution if section == "execution" else base.get(section, {})
        for key, facts in facts_of(model).items():
            yield row(f"{section}.{key}", _at(given, key.split("."), facts.default))
    for backend, runner in study.runners.items():
        yield row(f"runners.{backend}", runner)
    chosen = {text.partition(":")[0] for text in study.runners.values()} | study.runner_options.keys()
    for runner, options in vocabulary.runner_options.items():
        for key, facts in facts_of(options).items() if runner in chosen or everything else ():
            given = study.runner_options.get(runner, {})
            yield row(f"{RUNNER_OPTIONS}.{runner}.{key}", _at(given, key.split("."), facts.default))
    for axis, values in study.sweep.items():
        yield f"sweep.{axis}", values, "study file", loaded.locate(("sweep", axis))
    for i, experiment in enumerate(study.experiments):
        yield f"experiments[{i}]", experiment, "study file", loaded.locate(("experiments", i))


def _ancestors(key: str) -> Iterator[str]:
    while key:
        yield key
        key = key.rpartition(".")[0]


def _at(data: Any, path: list[str], default: Any) -> Any:
    for part in path:
        if not isinstance(data, dict) or part not in data:
            return default
        data = data[part]
    return data


@config.command()
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file.")
@click.pass_obj
def schema(registry: Registry, output: Path | None) -> None:
    """Print the JSON Schema of a study with every installed plugin.

    Editors with yaml-language-server use it where the study's first line is
    `# yaml-language-server: $schema=llem.schema.json`.

    \b
    Examples:
      llem config schema --output llem.schema.json
      llem config schema | jq '.properties | keys'
    """
    from llem_start.schema import json_schema

    text = (
        json.dumps(
            json_schema(registry[BACKENDS], registry[RUNNERS], registry[SCENARIOS]), ensure_ascii=False, indent=2
        )
        + "\n"
    )
    _deliver(text, output)


@config.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option(
    "--backend",
    shell_complete=installed_backends,
    help="The backend to begin with; by default the first that is installed.",
)
@click.option("--model", help="The model to begin with.")
@click.option("--force", is_flag=True, help="Replace the file where there is one.")
@click.pass_obj
def init(registry: Registry, path: Path | None, backend: str | None, model: str | None, force: bool) -> None:
    """Write a commented study with every key that there is to PATH, or to standard output without one.

    For reference, and to pick keys from. `llem init` writes a short one of your own answers.

    \b
    Examples:
      llem config init all-keys.yaml
      llem config init --backend pytorch --model random:tiny-llama | less
    """
    from llem.plugin_api import ConfigError
    from llem_start.template import EXAMPLE_MODEL, commented_study

    if backend is not None:
        registry.find(BACKENDS, backend)
    if model is not None and not model.strip():
        raise ConfigError("--model is empty.", remedy="Name a model, or leave the option out.")
    text = commented_study(registry[BACKENDS], backend=backend, model=model or EXAMPLE_MODEL, runners=registry[RUNNERS])
    _deliver(text, path, replace=force)
    if path is not None:
        click.echo(f"Wrote {path}. Next: llem run {path} --dry-run")


def _deliver(text: str, path: Path | None, *, replace: bool = True) -> None:
    from llem.plugin_api import write_text

    if path is None:
        click.echo(text, nl=False)
    else:
        write_text(path, text, replace=replace)
