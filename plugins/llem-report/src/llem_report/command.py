"""`llem report`: a study's report as one page, its figures as files, or a page of a study that runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llem.plugin_api import CHARTS, ChartSpec, Registered, study_folders

if TYPE_CHECKING:
    from llem.plugin_api import Registry

FORMATS = ("html", "png", "svg", "pdf")
PAGE = "report.html"
FIGURES = "figures"


@click.command(
    epilog="Figures: effects (which parameters matter), pareto (energy against speed), phases (energy by phase), power "
    "(power and temperature over time), latency (distributions), and those of plugins (`llem plugins` lists them)."
)
@click.argument("study", metavar="STUDY", type=click.Path(path_type=Path), shell_complete=study_folders)
@click.option(
    "--output",
    "-o",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help=f"File to write; a folder where several figures are written. Default: {PAGE}, or {FIGURES}/, in the study's folder.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="html: the whole report; png, svg, pdf: a file for each figure, at the size in print. Default: by the ending of PATH, else html.",
)
@click.option(
    "--figure",
    "names",
    metavar="NAME",
    multiple=True,
    type=Registered(CHARTS),
    help="Only this figure; repeatable. With png, svg or pdf.",
)
@click.option(
    "--theme", type=click.Choice(["light", "dark"]), help="Of figures as files; the page has both. Default: light."
)
@click.option(
    "--width",
    type=click.Choice(["single", "double"]),
    help="Of figures as files: one column of a paper (86 mm) or two (178 mm). Default: double.",
)
@click.option(
    "--audit",
    "rules",
    metavar="NAME|FILE",
    help="Of the page: add a section, the audit by these rules (`llem audit --help` has their names).",
)
@click.option(
    "--serve", "serving", is_flag=True, help="Show the page of a study that runs, on this machine only; Ctrl-C ends it."
)
@click.option("--port", type=click.IntRange(0, 65535), help="With --serve: the port; 0 takes any that is free.")
@click.option("--open", "opening", is_flag=True, help="Open the page in a browser.")
@click.pass_obj
def report(
    registry: Registry,
    study: Path,
    output: Path | None,
    form: str | None,
    names: tuple[ChartSpec, ...],
    theme: Any,
    width: Any,
    rules: str | None,
    serving: bool,
    port: int | None,
    opening: bool,
) -> None:
    """A study's report, as one HTML file that needs no network.

    It says what was found in sentences, and shows ranked effects, energy against speed, energy by phase, power over time,
    latencies, every experiment with its configuration and warnings, the environment, the method and how to cite it. A study that
    still runs, or failed in part, has one too: what is missing is said.

    \b
    Examples:
      llem report results/demo-20260101T120000Z
      llem report results/demo-20260101T120000Z -o demo.html --open
      llem report results/demo-20260101T120000Z --audit publication
      llem report results/demo-20260101T120000Z --format pdf -o figures
      llem report results/demo-20260101T120000Z --figure pareto --width single -o pareto.svg
      llem report results/demo-20260101T120000Z --serve --open
    """
    if serving:
        _refuse(output=output, format=form, figure=names, theme=theme, width=width, audit=rules)
        _serve(registry, study, port, opening)
        return
    _refuse_without_serve(port)
    form = form or _by_ending(output) or ("png" if names else "html")
    if form == "html":
        _refuse_in_page(figure=names, theme=theme, width=width)
        _page(registry, study, output, rules, opening)
    else:
        if rules is not None:
            raise click.UsageError("--audit adds a section to the page; figures are written as files only.")
        if opening:
            raise click.UsageError("--open opens the page; figures are written as files only.")
        asked = [spec.name for spec in names]
        _figures(registry, study, output, form, asked, theme or "light", width or "double")


def _by_ending(output: Path | None) -> str | None:
    """The format that a file's name asks for."""
    ending = output.suffix.lower().lstrip(".") if output is not None else ""
    ending = "html" if ending == "htm" else ending
    return ending if ending in FORMATS else None


def _refuse(**given: object) -> None:
    for name, value in given.items():
        if value:
            raise click.UsageError(f"--serve writes no file, so it takes no --{name}.")


def _refuse_without_serve(port: int | None) -> None:
    if port is not None:
        raise click.UsageError("--port goes with --serve.")


def _refuse_in_page(**given: object) -> None:
    for name, value in given.items():
        if value:
            raise click.UsageError(
                f"the page has every figure in both themes; --{name} goes with --format png, svg or pdf."
            )


def _serve(registry: Registry, study: Path, port: int | None, opening: bool) -> None:
    import webbrowser

    from llem_report.registered_charts import charts
    from llem_report.serve import PORT, serve

    _require_extra()
    started = _browse(webbrowser.open) if opening else None
    serve(study, charts(registry), port=PORT if port is None else port, say=_say, started=started)


def _browse(open_page: Any) -> Any:
    def browse(url: str) -> None:
        open_page(url)

    return browse


def _say(line: str) -> None:
    click.echo(line)


def _require_extra() -> None:
    from llem_report.export import require_extra

    require_extra()


def _page(registry: Registry, study: Path, output: Path | None, rules: str | None, opening: bool) -> None:
    import webbrowser

    import pyarrow

    from llem_report import bundle
    from llem_report.gather import gather
    from llem_report.page import write_page
    from llem_report.registered_charts import charts

    _require_extra()
    bundle.begin()
    # Arrow's own allocator keeps tens of megabytes in reserve, which a report has no use for.
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    found = gather(study, rules)
    path = study / PAGE if output is None else output / PAGE if output.is_dir() else output
    _saving(path, lambda: write_page(found, path, charts(registry)))
    click.echo(f"Wrote {path}.")
    if opening:
        webbrowser.open(path.resolve().as_uri())


def _figures(
    registry: Registry, study: Path, output: Path | None, form: Any, names: Sequence[str], theme: Any, width: Any
) -> None:
    """Write figures as files; where none is named, all that the study has runs for."""
    from llem.plugin_api import ResultError
    from llem_report.export import save
    from llem_report.gather import gather
    from llem_report.registered_charts import charts

    _require_extra()
    found, known, one = gather(study), charts(registry), len(names) == 1
    asked = names or [name for name, chart in known.items() if chart.is_of(found)]
    drawn = [known[name].draw(found, width) for name in asked]
    if one and drawn[0].spec is None:
        raise ResultError(f"there is no figure `{names[0]}`: {drawn[0].why_not}", where=str(study))
    folder = study / FIGURES if output is None else output
    a_file = one and output is not None and bool(output.suffix) and not output.is_dir()
    if not a_file:
        _saving(folder, lambda: folder.mkdir(parents=True, exist_ok=True))
    written = 0
    for figure in drawn:
        if figure.spec is None:
            click.echo(f"left out: {figure.name}: {figure.why_not}", err=True)
            continue
        path = folder if a_file else folder / f"{figure.name}.{form}"
        _saving(path, lambda figure=figure, path=path: save(figure, path, form, theme))
        click.echo(f"Wrote {path}.")
        written += 1
    if not written:
        raise ResultError("none of these figures can be drawn.", where=str(study))


def _saving(path: Path, write: Any) -> None:
    from llem.plugin_api import ConfigError

    try:
        write()
    except OSError as error:
        raise ConfigError(
            f"cannot be written: {error.strerror or error}.", where=str(path), remedy="Name another place: -o PATH."
        ) from error
