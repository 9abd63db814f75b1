"""The library: what the command line does, from Python. Everything here is stable, and exported by `llem` itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.errors import EXIT_INTERRUPTED, ConfigError
from llem.results.models import ExperimentResult
from llem.results.study import StudyResult

if TYPE_CHECKING:
    from llem.config.layers import LoadedStudy
    from llem.plugins import Registry
    from llem.study.loop import StudyOutcome
    from llem.study.reporter import Reporter

__all__ = ["load_study", "resume", "run_experiment", "run_study"]


def run_experiment(
    model: str | Mapping[str, Any],
    *,
    backend: str = "pytorch",
    output: str | Path = "results",
    runner: str | None = None,
    skip_preflight: Iterable[str] = (),
    progress: bool = True,
    reporter: Reporter | None = None,
    **sections: Any,
) -> ExperimentResult:
    """Run one experiment in a process of its own and return its result.

    Args:
        model: hub id, folder, .gguf file, `pkg:PACKAGE/FILE`, `random:ARCHITECTURE`, or the whole section as a mapping.
        backend: one that `llem plugins` lists.
        output: the folder in which the experiment's own folder is made.
        runner: where it runs, such as `local` or `docker:IMAGE`; by default what the configuration says.
        skip_preflight: names of preflight checks to leave out.
        progress: as `run_study`.
        reporter: likewise.
        **sections: the other sections of an experiment, as in a study: `dataset`, `decoding`, `measurement`, `warmup`,
            `baseline`, `limits`, and the backend's own under its name.

    Returns:
        The result. Where the experiment failed its `status` is `failed` and `failure` says why: that is no exception here,
        as it is none in a study.

    Raises:
        ConfigError, PluginError, PreflightError: it could not start; each says what to do.
        KeyboardInterrupt: the user ended it; what there was is on disk.

    Examples:
        >>> import llem
        >>> result = llem.run_experiment(  # doctest: +SKIP
        ...     "random:tiny-llama", dataset={"n": 8, "output_tokens": 32}, pytorch={"batch_size": 4}
        ... )
        >>> result.throughput.tokens_per_s, result.energy.headline.j_per_output_token  # doctest: +SKIP
    """
    if not_here := sorted({"sweep", "experiments", "execution", "runners", "runner_options", "name"} & sections.keys()):
        raise ConfigError(
            f"run_experiment runs one experiment once; `{not_here[0]}` belongs to a study.",
            remedy="Use llem.run_study, which takes a mapping too.",
        )
    source = model if isinstance(model, str) else dict(model)
    document = {"name": "experiment", "model": source, "backend": backend, **sections}
    study = run_study(
        document, output=output, runner=runner, skip_preflight=skip_preflight, progress=progress, reporter=reporter
    )
    return study.results[0]


def run_study(
    study: str | Path | Mapping[str, Any],
    *,
    overrides: Mapping[str, Any] | None = None,
    output: str | Path = "results",
    runner: str | None = None,
    skip_preflight: Iterable[str] = (),
    progress: bool = True,
    reporter: Reporter | None = None,
) -> StudyResult:
    """Run a study, every experiment in a process of its own, and return what it left behind.

    Environment variables (`LLEM_…`) and the user's configuration file count as they do for `llem run`.

    Args:
        study: a YAML file, or its content as a mapping.
        overrides: dotted keys that win over the study, such as `{"dataset.n": 20, "execution.cycles": 3}`.
        output: the folder in which the study's own folder (`NAME-TIMESTAMP`) is made.
        runner: where every backend runs; by default what the configuration says.
        skip_preflight: names of preflight checks to leave out.
        progress: write how far it is to standard error, as `llem run` does: lines, or the live view of a plugin.
        reporter: receives progress instead (`llem.study.reporter.Reporter`).

    Returns:
        The study, also where experiments in it failed: their results have the status `failed`.

    Raises:
        ConfigError, PluginError, PreflightError: nothing has run; each says what to do.
        KeyboardInterrupt: the user ended it; what is done is on disk, and the manifest says `interrupted`.

    Examples:
        >>> import llem
        >>> study = llem.run_study("study.yaml", overrides={"execution.cycles": 3})  # doctest: +SKIP
        >>> study.to_arrow().select(["point.pytorch.batch_size", "throughput.tokens_per_s"])  # doctest: +SKIP
    """
    from llem.plan import make_plan
    from llem.study import run

    registry = _registry()
    loaded = _configuration(study, overrides, registry)
    plan = make_plan(loaded, registry, runner=runner)
    with _told(progress, reporter, plan.estimate_s) as listener:
        outcome = run.run_study(
            loaded,
            plan,
            registry,
            listener,
            output=Path(output),
            runner=runner,
            skip_preflight=skip_preflight,
        )
    return _left_behind(outcome)


def resume(
    study_dir: str | Path,
    *,
    study: str | Path | Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
    runner: str | None = None,
    retry_failed: bool = False,
    allow_changes: bool = False,
    as_started: bool = False,
    cycles: int | None = None,
    skip_preflight: Iterable[str] = (),
    progress: bool = True,
    reporter: Reporter | None = None,
) -> StudyResult:
    """Go on with a study, from whatever state it is in, as `llem resume` does.

    Results that are there are checked and kept; experiments that were under way run again, and so do those whose results
    are damaged or gone. Nothing is deleted: what is not kept is moved to `set-aside/` in the study's folder.

    Args:
        study_dir: the study's folder.
        study: the study as it shall be now, as `run_study` takes it; by default what it was started with.
        overrides: dotted keys that win over `study`.
        runner: where every backend runs; by default as it was started.
        retry_failed: run experiments that failed again.
        allow_changes: go on although the study differs from the one that was started; else that is a ConfigError.
        as_started: go on as the study was started, even where its file was changed since.
        cycles: so many cycles in all; more than before.
        skip_preflight: names of preflight checks to leave out.
        progress: as `run_study`; what was found is told too.
        reporter: likewise.

    Raises:
        ResultError: this is no study's folder, or there is no telling what was to be run.
        ConfigError: the study was changed; the message shows how.
        PreflightError: a check failed, or another llem works on the study.
        PluginError, LlemError: as `run_study`.
        KeyboardInterrupt: the user ended it; what is done is on disk.

    Examples:
        >>> import llem
        >>> study = llem.resume("results/demo-20260101T120000Z", retry_failed=True)  # doctest: +SKIP
        >>> study.manifest["totals"]  # doctest: +SKIP
    """
    from llem.study.resume.request import ResumeRequest
    from llem.study.resume.resume import resume as go_on

    if study is None and (overrides or runner is not None):
        raise ConfigError("`overrides` and `runner` change a study; which one is not said.", remedy="Give `study` too.")
    registry = _registry()
    loaded = None
    if study is not None:
        own = {} if cycles is None else {"execution.cycles": cycles}
        loaded = _configuration(study, {**(overrides or {}), **own}, registry)
    request = ResumeRequest(
        study=loaded,
        runner=runner,
        retry_failed=retry_failed,
        allow_changes=allow_changes,
        as_started=as_started,
        cycles=cycles,
    )
    with _told(progress, reporter) as listener:
        outcome = go_on(Path(study_dir), registry, listener, request, skip_preflight=skip_preflight)
    return _left_behind(outcome)


def _registry() -> Registry:
    """The plugins of this environment, for every call of this process."""
    from llem.plugins import default_registry

    return default_registry()


def _configuration(
    study: str | Path | Mapping[str, Any], overrides: Mapping[str, Any] | None, registry: Registry
) -> LoadedStudy:
    from llem.config.layers import load_study as load_configuration
    from llem.plugins import installed_parts

    path, document = (None, study) if isinstance(study, Mapping) else (Path(study), None)
    return load_configuration(
        path,
        document=document,
        overrides=overrides,
        **installed_parts(registry),
    )


@contextmanager
def _told(progress: bool, reporter: Reporter | None, estimate_s: float | None = None) -> Iterator[Reporter]:
    """The reporter that is told how far it is."""
    from llem.progress import reporter_for_people
    from llem.study.reporter import SilentReporter

    if reporter is not None or not progress:
        yield reporter or SilentReporter()
        return
    with reporter_for_people(_registry(), estimate_s=estimate_s) as own:
        yield own


def _left_behind(outcome: StudyOutcome) -> StudyResult:
    if outcome.exit_code == EXIT_INTERRUPTED:
        raise KeyboardInterrupt(
            f"the study was interrupted; what is done is in {outcome.directory}, and llem.resume goes on with it"
        )
    return StudyResult(outcome.directory)


def load_study(path: str | Path) -> StudyResult:
    """Open a study that was run before.

    Args:
        path: the study's folder, such as `results/NAME-TIMESTAMP`.

    Raises:
        ResultError: there is no study in this folder.

    Examples:
        >>> import llem
        >>> study = llem.load_study("results/demo-20260101T120000Z")  # doctest: +SKIP
        >>> study.to_pandas().groupby("config_hash")["throughput.tokens_per_s"].mean()  # doctest: +SKIP
        >>> [r.failure.message for r in study.results if r.status == "failed"]  # doctest: +SKIP
    """
    return StudyResult(path)
