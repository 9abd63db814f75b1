"""`llem init`: a few questions, or flags in their place, and a study that runs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llem.plugin_api import (
    BACKENDS,
    RUNNERS,
    SCENARIOS,
    PluginError,
    Registry,
    installed_backends,
    installed_datasets,
    refuse_existing,
    settings_keys,
    write_text,
)

if TYPE_CHECKING:
    from llem_start.answers import Care


@click.command()
@click.argument("unexpected", nargs=-1, metavar="")
@click.option("--model", help="Hub id, folder, .gguf file, pkg:PACKAGE/FILE or random:ARCHITECTURE.")
@click.option(
    "--backend",
    "backends",
    multiple=True,
    shell_complete=installed_backends,
    help="A backend that `llem plugins` lists; repeat it to compare.",
)
@click.option(
    "--dataset", shell_complete=installed_datasets, help="A dataset that `llem plugins` lists, or a .jsonl file."
)
@click.option("-n", "prompts", type=click.IntRange(min=1), help="How many prompts.")
@click.option("--input-tokens", type=click.IntRange(min=1), help="Input tokens of each prompt; else all that it has.")
@click.option("--output-tokens", type=click.IntRange(min=1), help="Output tokens for each prompt.")
@click.option(
    "--vary",
    metavar="KEY=V1,V2",
    multiple=True,
    shell_complete=settings_keys,
    help="A key and the values to compare; repeatable.",
)
@click.option("--quick", "care", flag_value="quick", help="Short windows, once each: a look.")
@click.option(
    "--publication",
    "care",
    flag_value="publication",
    help="What `llem audit` asks for: long windows, five cycles in shuffled order, warm-up until steady, a pinned model.",
)
@click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=settings_keys,
    help="Give any other key a value; repeatable.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("study.yaml"),
    show_default=True,
    help="The file to write.",
)
@click.option("--force", is_flag=True, help="Replace the file where there is one.")
@click.option("--yes", "-y", is_flag=True, help="Ask nothing: what no flag says has its default.")
@click.option("--demo", is_flag=True, help="Write the demo, a ready study of a small real model, to demo.yaml.")
@click.pass_obj
def init(
    registry: Registry,
    unexpected: tuple[str, ...],
    *,
    model: str | None,
    backends: tuple[str, ...],
    dataset: str | None,
    prompts: int | None,
    input_tokens: int | None,
    output_tokens: int | None,
    vary: tuple[str, ...],
    care: Care | None,
    settings: tuple[str, ...],
    output: Path,
    force: bool,
    yes: bool,
    demo: bool,
) -> None:
    """Write a first study: asks what to measure, checks the answers, and says how long it takes.

    On a terminal it asks what no flag has said; elsewhere, and with --yes, it asks nothing. The study is short, and each
    line says what it means. For one with every key that there is: `llem config init`. With --publication it is one that
    `llem audit` lets pass if it runs well. With --demo it writes the study that `make demo` runs in a clone: a small real model,
    under four minutes on two CPU cores.

    \b
    Examples:
      llem init
      llem init --demo
      llem init --yes -o first.yaml
      llem init --backend pytorch --vary pytorch.batch_size=1,4,16 --vary pytorch.dtype=float32,bfloat16
      llem init --model random:tiny-llama --dataset synthetic --input-tokens 256 --quick --yes
      llem init --model org/name --publication -n 200 --output-tokens 256 -o paper.yaml
    """
    from llem.plugin_api import FIRST_REMEDY, Vocabulary, counted, duration, read_settings
    from llem_start.answers import Answers, seen_from
    from llem_start.axes import read_axes
    from llem_start.checking import check
    from llem_start.demo import write_demo
    from llem_start.next_commands import audit_command, engine_commands, run_commands
    from llem_start.offers import preferred_backend
    from llem_start.publication import fit_to_audit
    from llem_start.questions import ask

    if unexpected:
        raise click.UsageError(f"the file to write is named by -o: llem init -o {shlex.quote(unexpected[0])}.")
    if demo:
        write_demo(registry, output, force=force)
        return
    if not force:
        refuse_existing(output)
    first = preferred_backend(registry[BACKENDS].values())
    if first is None:
        raise PluginError("no backend is installed, and a study needs one.", remedy=FIRST_REMEDY)
    vocabulary = Vocabulary(registry[BACKENDS], registry[RUNNERS], registry[SCENARIOS])
    axes, others = read_axes(vary, vocabulary), read_settings(settings, vocabulary)
    for key in ("model", "backend", "dataset"):
        if key in others:
            raise click.UsageError(f"`{key}` has an option of its own: --{key}.")
    given: dict[str, Any] = {
        "model": seen_from(output.parent, model) if model else None,
        "backends": tuple(dict.fromkeys(backends)) or _named_by({**axes, **others}, registry),
        "dataset": seen_from(output.parent, dataset) if dataset else None,
        "prompts": prompts,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "vary": axes,
        "care": care,
        "settings": others,
    }
    given = {name: value for name, value in given.items() if value not in (None, (), {})}
    answers = Answers(**{"backends": (first,), **given})
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        answers = ask(answers, given.keys(), registry, output.parent)
    answers, doubts = fit_to_audit(answers, registry, output.parent)
    checked = check(answers, registry, output.parent)
    write_text(output, checked.text, replace=force)
    for note in (*checked.notes, *doubts):
        click.echo(f"llem: {note}", err=True)
    plan = checked.plan
    click.echo(f"Wrote {output}: {counted(plan.total, 'experiment')}, {duration(plan.estimate_s)} at least. Next:")
    for command, what in (*engine_commands(plan, registry), *run_commands(output), *audit_command(plan, answers.care)):
        click.echo(f"  {command}  # {what}")


def _named_by(keys: Mapping[str, Any], registry: Registry) -> tuple[str, ...]:
    """The backends whose keys are given."""
    sections = dict.fromkeys(key.partition(".")[0] for key in keys)
    return tuple(name for name in sections if name in registry[BACKENDS])
