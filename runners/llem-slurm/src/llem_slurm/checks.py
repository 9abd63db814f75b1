"""Preflight checks: what must hold before the first job of a study is submitted, each with the command that mends it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from llem.plugin_api import BACKENDS, Finding, LlemError, PreflightContext, closest
from llem_slurm.commands import INSTALL, is_here, run, user
from llem_slurm.errors import SlurmRefused
from llem_slurm.limits import site_limits
from llem_slurm.nodes import nodes_of
from llem_slurm.options import SlurmOptions
from llem_slurm.plugin import RUNNER
from llem_slurm.script import ResourceRequest, array_options, need_of

SHOW = "Show what there is: sinfo -o '%P %l %D %G %f'."


def options_in(context: PreflightContext) -> SlurmOptions | None:
    """The study's settings; None where it does not run on Slurm (`llem doctor`), or where no Slurm answers."""
    options = context.runner_options.get(RUNNER)
    return options if isinstance(options, SlurmOptions) and is_here() and "is UP" in context.once(_ping) else None


def _ping(context: PreflightContext) -> str:
    """The controller's answer to a ping, or why there is none."""
    try:
        return run(["scontrol", "ping"], timeout_s=60)
    except LlemError as error:
        return error.what


def check_controller(context: PreflightContext) -> Iterator[Finding]:
    """Commands and controller."""
    if not is_here():
        wanted = RUNNER in context.runner_options
        message = "Slurm's command sbatch is not on this machine"
        yield Finding(level="error" if wanted else "ok", message=message, remedy=INSTALL if wanted else None)
        return
    said = context.once(_ping)
    if "is UP" not in said:
        yield Finding(
            level="error" if RUNNER in context.runner_options else "warning",
            message=f"Slurm's controller does not answer: {' '.join(said.split())[:300]}",
            remedy="Look: scontrol ping. Set SLURM_CONF if the site's slurm.conf is elsewhere; else ask the site's admins.",
        )
        return
    yield Finding(level="ok", message=f"{run(['sbatch', '--version']).strip()}, {' '.join(said.split())}")


def check_place(context: PreflightContext) -> Iterator[Finding]:
    """Partition, account, quality of service, features and time, each by name."""
    options = options_in(context)
    if options is None:
        return
    partitions = _partitions()
    for name in options.partition.split(",") if options.partition else ():
        if name not in partitions:
            yield _unknown("partition", name, list(partitions), "sinfo -s")
    if options.partition is None and not any(p.get("Default") == "YES" for p in partitions.values()):
        yield Finding(
            level="error",
            message="the site has no default partition, and the study names none",
            remedy=f"Name one: --set runner_options.slurm.partition=NAME; there is: {', '.join(partitions)}.",
        )
    accounts = _associations()
    if options.account and accounts and options.account not in accounts:
        yield _unknown("account", options.account, sorted(accounts), f"sacctmgr show assoc user={user()}")
    qualities = _lines(["sacctmgr", "--noheader", "--parsable2", "show", "qos", "format=Name"])
    if options.qos and qualities and options.qos not in qualities:
        yield _unknown("qos", options.qos, qualities, "sacctmgr show qos")
    yield from _features(options)
    yield from _time(context, options, partitions)


def check_gpus(context: PreflightContext) -> Iterator[Finding]:
    """GPUs that are asked for, against what the nodes of the partition have."""
    options = options_in(context)
    if options is None:
        return
    most = max((need.gpus for need in needs(context, options)), default=0)
    if not most:
        yield Finding(level="ok", message="no GPUs are asked for")
        return
    try:
        nodes = nodes_of(options.partition)
    except SlurmRefused:
        return  # the check of the partition says why
    kind = options.gpu_type
    able = [node.name for node in nodes if node.has(most, kind)]
    if able:
        yield Finding(level="ok", message=f"{len(able)} of {len(nodes)} node(s) have {most} {kind or 'GPU'}(s) or more")
        return
    there = sorted({f"{name or 'GPU'} x {number}" for node in nodes for name, number in node.gpus.items()})
    where = f"the partition {options.partition}" if options.partition else "the default partition"
    yield Finding(
        level="error",
        message=f"{most} {kind or ''}{' ' if kind else ''}GPU(s) of one node are asked for, and no node of {where} has them; "
        f"there is: {', '.join(there) or 'no GPU'}",
        remedy="Set runner_options.slurm.gpus (0 for none), gpu_type or partition. Show them: sinfo -o '%P %D %G'.",
    )


def check_limits(context: PreflightContext) -> Iterator[Finding]:
    """Tell how large arrays may be and how many jobs one user may have in the queue: llem keeps to both by itself."""
    options = options_in(context)
    if options is None:
        return
    limits = site_limits(options)
    queue = "nothing limits" if limits.submit is None else f"{limits.submit:,} is the limit of"
    yield Finding(level="ok", message=f"arrays of up to {limits.array:,}; {queue} jobs in the queue")


def check_job(context: PreflightContext) -> Iterator[Finding]:
    """Ask Slurm itself, by sbatch --test-only, whether it would take each kind of job."""
    options = options_in(context)
    if options is None:
        return
    for need in needs(context, options):
        words = [
            word
            for word in array_options(options, need, count=1, name="llem-test", comment="llem", folder="/")
            if not word.startswith(("--output", "--array", "--parsable", "--chdir"))
        ]
        try:
            run(["sbatch", "--test-only", "--output=/dev/null", *words, "--wrap=true"])
        except SlurmRefused as error:
            yield Finding(
                level="error",
                message=f"Slurm would not take such a job: {error.what.removeprefix('sbatch: ').rstrip('.')}",
                remedy=f"Try it: sbatch --test-only {' '.join(words)} --wrap=true. {SHOW}",
            )
        else:
            yield Finding(level="ok", message=f"Slurm would take a job with {need.gpus} GPU(s)")


def check_node(context: PreflightContext) -> Iterator[Finding]:
    """Have a job look at a node: the results folder, Python, llem, the backend's plugin."""
    from llem_slurm.probe import probe

    options = options_in(context)
    if options is None or context.output is None or options.probe_s == 0:
        return
    yield from probe(context, options, needs(context, options))


def needs(context: PreflightContext, options: SlurmOptions) -> Sequence[ResourceRequest]:
    """The needs of the study's jobs, one of each kind."""
    backends = {name for name, runner in context.runners.items() if runner.partition(":")[0] == RUNNER}
    found: dict[ResourceRequest, None] = {}
    for config in context.experiments:
        if config.backend in backends:
            found[need_of(config, context.registry.find(BACKENDS, config.backend), options)] = None
    return list(found)


def _partitions() -> dict[str, dict[str, str]]:
    found = {}
    for line in run(["scontrol", "show", "partition", "--oneliner"]).splitlines():
        fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if "PartitionName" in fields:
            found[fields["PartitionName"]] = fields
    return found


def _associations() -> set[str]:
    command = ["sacctmgr", "--noheader", "--parsable2", "show", "associations", "where", f"user={user()}"]
    return set(_lines([*command, "format=Account"]))


def _lines(command: list[str]) -> list[str]:
    """The answer of accounting to a question; nothing where there is none, or none that this user may ask."""
    try:
        return [line.strip() for line in run(command, timeout_s=30).splitlines() if line.strip()]
    except LlemError:
        return []


def _unknown(kind: str, name: str, known: list[str], command: str) -> Finding:
    near = closest(name, known)
    meant = f"Did you mean `{near}`? " if near else ""
    return Finding(
        level="error",
        message=f"there is no {kind} `{name}` for {user()}; there is: {', '.join(known[:20])}",
        remedy=f"{meant}Set runner_options.slurm.{kind}; show them: {command}.",
    )


def _features(options: SlurmOptions) -> Iterator[Finding]:
    if not options.constraint:
        return
    try:
        known = sorted({f for node in nodes_of(options.partition) for f in node.features if f not in ("", "(null)")})
    except SlurmRefused:
        return
    for name in re.findall(r"[A-Za-z_][\w.-]*", options.constraint):
        if name not in known:
            yield _unknown("constraint", name, known, "sinfo -o '%n %f'")


def _time(context: PreflightContext, options: SlurmOptions, partitions: dict[str, dict[str, str]]) -> Iterator[Finding]:
    default = next((name for name, fields in partitions.items() if fields.get("Default") == "YES"), "")
    asked = [f for name in (options.partition or default).split(",") if (f := partitions.get(name)) is not None]
    limits = [minutes for fields in asked if (minutes := minutes_of(fields.get("MaxTime", ""))) is not None]
    if not limits or len(limits) < len(asked):
        return
    wanted = [minutes_of(options.time) if options.time else need.minutes for need in needs(context, options)]
    most = max((minutes for minutes in wanted if minutes is not None), default=0)
    if most > max(limits):
        how = "runner_options.slurm.time" if options.time else "limits.timeout_s and 10 minutes"
        yield Finding(
            level="error",
            message=f"a job asks for {most:g} minutes ({how}), and the partition allows {max(limits):g}: it would wait for ever",
            remedy="Set runner_options.slurm.time or limits.timeout_s lower, or another partition. " + SHOW,
        )


def minutes_of(text: str) -> float | None:
    """Minutes of Slurm's `MINUTES`, `MINUTES:SECONDS`, `HOURS:MINUTES:SECONDS`, `DAYS-HOURS[:MINUTES[:SECONDS]]`."""
    days, dash, rest = text.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdigit() for part in (*parts, days or "0")):
        return None
    numbers = [int(part) for part in parts]
    if dash:
        hours, minutes, seconds = ([*numbers, 0, 0])[:3]
    elif len(numbers) == 3:
        hours, minutes, seconds = numbers
    else:
        hours, (minutes, seconds) = 0, ([*numbers, 0])[:2]
    return int(days or 0) * 1440 + hours * 60 + minutes + seconds / 60
