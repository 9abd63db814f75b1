"""The accelerators of this machine, as checks see them: which there are, and whether experiments can run side by side on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from llem.accelerators.asking import Answer, ask, confined_to
from llem.accelerators.sharing import shareable
from llem.specs.check import Finding, PreflightContext
from llem.specs.kinds import ACCELERATORS, BACKENDS, RUNNERS

_LEAVE = "Leave execution.parallel at none, which runs one experiment at a time"


def check_accelerators(context: PreflightContext) -> Iterator[Finding]:
    """Accelerators by maker. One who fails to tell is a warning: what others left on them is not seen then."""
    registry = context.registry
    runners = [registry.find(RUNNERS, runner.partition(":")[0]) for runner in context.runners.values()]
    if runners and not any(spec.on_this_machine for spec in runners):
        yield Finding(level="ok", message="no experiment runs on this machine: what it has is in no figure")
        return
    answers = _answers(context)
    for answer in answers:
        name = answer.spec.name
        if answer.trouble is not None:
            label = registry.provider(ACCELERATORS, name).label
            yield Finding(
                level="warning",
                message=f"nothing is known of the accelerators of `{name}`: {answer.trouble}. What others left on them is not "
                "seen, and experiments cannot run side by side on them",
                remedy=f"It comes from {label}.",
            )
        elif answer.accelerators:
            models = Counter(one.model or one.kind for one in answer.accelerators)
            listed = ", ".join(f"{count} × {model}" if count > 1 else model for model, count in models.items())
            yield Finding(level="ok", message=f"accelerators by {name}: {listed}")
    if not any(answer.accelerators or answer.trouble for answer in answers):
        asked = ", ".join(answer.spec.name for answer in answers) or "nobody"
        yield Finding(level="ok", message=f"no accelerator is seen here (asked: {asked})")


def check_parallel(context: PreflightContext) -> Iterator[Finding]:
    """Nothing to say where it is not asked for. Errors: too few GPUs, several makers', and no runner that could use them."""
    if context.parallel != "by_gpu":
        return
    registry = context.registry
    runners = {backend: text.partition(":")[0] for backend, text in context.runners.items()}
    sharing = {backend for backend, name in runners.items() if registry.find(RUNNERS, name).by_gpu}
    if not sharing:
        names = ", ".join(f"`{name}`" for name in sorted(set(runners.values())))
        yield Finding(
            level="error",
            message=f"execution.parallel is by_gpu, and it has no effect on what this study runs in ({names}): "
            "only the runner `local` shares out this machine's GPUs.",
            remedy=f"{_LEAVE}, or run a backend by the runner `local`.",
        )
        return
    found = shareable(_answers(context))
    if len(found) > 1:
        yield _several(found)
        return
    gpus = [one.id for answer in found for one in answer.accelerators]
    if len(gpus) < 2:
        yield _too_few(gpus, _answers(context))
        return
    for experiment in context.experiments:
        if experiment.backend not in sharing:
            continue
        needed = registry.find(BACKENDS, experiment.backend).gpus_of(experiment.options)
        if needed is not None and needed > len(gpus):
            yield Finding(
                level="error",
                message=f"an experiment of {experiment.backend} takes {needed} GPUs, and llem sees {len(gpus)} on this machine.",
                remedy="Split the model over fewer, or run it where there are as many.",
            )


def _answers(context: PreflightContext) -> list[Answer]:
    return context.once(_ask)


def _ask(context: PreflightContext) -> list[Answer]:
    return ask(context.registry)


def _several(found: Sequence[Answer]) -> Finding:
    there = ", ".join(f"{len(answer.accelerators)} by {answer.spec.name}" for answer in found)
    last = found[-1].spec
    hidden = " ".join(f"{name}=" for name in confined_to(last, ()))
    return Finding(
        level="error",
        message=f"execution.parallel is by_gpu, and llem sees GPUs of several makers ({there}): an engine can use those of one.",
        remedy=f"Hide the others, such as those of {last.name}: {hidden} llem run …; or leave execution.parallel at none.",
    )


def _too_few(gpus: Sequence[str], answers: Sequence[Answer]) -> Finding:
    seen = f"one GPU ({gpus[0]})" if gpus else "no GPU"
    fixed = [answer.spec.name for answer in answers if answer.accelerators and answer.spec.confine is None]
    why = f" Those by {', '.join(fixed)} cannot be shown to one experiment and kept from another." if fixed else ""
    look = " or ".join(answer.spec.look for answer in answers if answer.spec.look)
    return Finding(
        level="error",
        message=f"execution.parallel is by_gpu, and llem sees {seen} on this machine: two or more are needed.{why}",
        remedy=f"{_LEAVE}; or look at {look or 'the driver'} and at the variables that hide GPUs, if there should be more.",
    )
