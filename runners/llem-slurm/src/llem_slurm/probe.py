"""A small job that looks at a node before a study starts: whether it sees the results folder, and can run a worker there."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from llem.plugin_api import (
    BACKENDS,
    DATASETS,
    RUNNERS,
    SAMPLERS,
    SCENARIOS,
    Finding,
    HookKind,
    LlemError,
    PreflightContext,
)
from llem_slurm.commands import run, user
from llem_slurm.errors import SlurmRefused
from llem_slurm.options import SlurmOptions
from llem_slurm.plugin import RUNNER
from llem_slurm.queue import ACCOUNT_FORMAT
from llem_slurm.script import ResourceRequest, resource_options

_KINDS: Mapping[str, HookKind[Any]] = {kind.word: kind for kind in (BACKENDS, SCENARIOS, DATASETS, SAMPLERS, RUNNERS)}
_UNSEEN, _NO_PYTHON, _NO_LLEM = 41, 42, 43
_MINUTES = 5

_LOOK = """
import importlib.metadata, importlib.util, json, os, sys
try:
    import llem_slurm.node
    from llem.plugin_api import BACKENDS, DATASETS, RUNNERS, SAMPLERS, SCENARIOS, Registry
    here, registry = importlib.metadata.version("llem"), Registry()
except Exception as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
    sys.exit(43)
asked = json.loads(sys.argv[2])
kinds = {kind.word: kind for kind in (BACKENDS, SCENARIOS, DATASETS, SAMPLERS, RUNNERS)}
lacking = [(word, name) for word, name in asked["plugins"] if name not in registry[kinds[word]]]
text = json.dumps({
    "llem": here,
    "node": os.environ.get("SLURMD_NODENAME"),
    "missing": [name for name in asked["modules"] if importlib.util.find_spec(name) is None],
    "lacking": lacking,
    "aside": [f"{plugin.label}: {plugin.set_aside}" for plugin in registry.plugins() if plugin.set_aside],
})
temporary = sys.argv[1] + ".new"
with open(temporary, "w") as out:
    out.write(text)
os.replace(temporary, sys.argv[1])
"""


def probe(context: PreflightContext, options: SlurmOptions, needs: Sequence[ResourceRequest]) -> Iterator[Finding]:
    """Submit it, wait for its word at most `probe_s`, and take it out of the queue where that comes too late.

    Raises:
        LlemError: Slurm does not answer.
    """
    assert context.output is not None
    output = context.output.absolute()
    existing = next(folder for folder in (output, *output.parents) if folder.is_dir())
    try:
        folder = Path(tempfile.mkdtemp(prefix=".llem-probe-", dir=existing))
    except OSError:
        return  # the check of the results folder says why
    try:
        yield from _ask(folder, context, options, needs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ask(
    folder: Path, context: PreflightContext, options: SlurmOptions, needs: Sequence[ResourceRequest]
) -> Iterator[Finding]:
    python = options.python or sys.executable
    answer, token = folder / "answer.json", folder / "token"
    token.write_text("llem\n", encoding="ascii")
    (folder / "look.py").write_text(_LOOK, encoding="utf-8")
    lines = [
        "#!/bin/bash",
        *options.setup,
        f"[ -r {shlex.quote(str(token))} ] && [ -w {shlex.quote(str(folder))} ] || exit {_UNSEEN}",
        f"[ -x {shlex.quote(python)} ] || exit {_NO_PYTHON}",
        shlex.join([python, str(folder / "look.py"), str(answer), json.dumps(_asked(context, options))])
        + f" > {shlex.quote(str(folder / 'said'))}",
    ]
    script = folder / "probe.sh"
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    need = needs[0] if needs else ResourceRequest(0, _MINUTES)
    words = [w for w in resource_options(options, need) if not w.startswith("--time=") and w != "--exclusive"]
    words += [
        f"--time={_MINUTES}",
        "--job-name=llem-probe",
        "--parsable",
        "--chdir=/",
        "--output=/dev/null",
        "--no-requeue",
    ]
    try:
        number = run(["sbatch", *words, str(script)]).strip().splitlines()[-1].partition(";")[0]
    except SlurmRefused:
        return  # `slurm-job` has asked the same, and says why
    ended = False
    try:
        end, pause_s = time.monotonic() + options.probe_s, 0.5
        while time.monotonic() < end and not ended:
            time.sleep(pause_s)
            pause_s = min(5.0, pause_s * 1.5)
            if answer.exists():
                yield from _judge(json.loads(answer.read_text(encoding="utf-8")), context, python)
                return
            state, code, node = _state(number)
            ended = state is not None
            if state is not None and not _appears(answer):
                yield _failed(folder, output=context.output or folder, python=python, state=state, code=code, node=node)
                return
        if ended:
            yield from _judge(json.loads(answer.read_text(encoding="utf-8")), context, python)
            return
    finally:
        if not ended:
            with contextlib.suppress(LlemError):
                run(["scancel", number])
    yield Finding(
        level="warning",
        message=f"no node could be looked at within {options.probe_s:g} s: the job that was to look still waits in the queue",
        remedy=f"Look why: squeue --user={user()}. A longer wait: runner_options.slurm.probe_s.",
    )


def _appears(answer: Path) -> bool:
    """Tell whether the answer is there, or comes to be seen within a moment: files of other nodes may show late."""
    end = time.monotonic() + 5.0
    while not answer.exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
    return True


def _judge(told: Mapping[str, Any], context: PreflightContext, python: str) -> Iterator[Finding]:
    here, there, node = version("llem"), told["llem"], told["node"]
    if there != here:
        yield Finding(
            level="error",
            message=f"the node {node} has llem {there} at {python}, and here is {here}: figures would be those of {there}",
            remedy=f"Install the same on the nodes: {python} -m pip install llem=={here} llem-slurm.",
        )
    if missing := told["missing"]:
        yield Finding(
            level="error",
            message=f"on the node {node} {', '.join(missing)} is not importable by {python}",
            remedy="Install the backend's plugin there, or name a Python that has it: runner_options.slurm.python.",
        )
    aside = f" ({'; '.join(told['aside'])})" if told["aside"] else ""
    for word, name in told["lacking"]:
        brings = context.registry.provider(_KINDS[word], name)
        yield Finding(
            level="error",
            message=f"the node {node} has no {word} `{name}` at {python}{aside}",
            remedy=f"Install what brings it on the nodes: {python} -m pip install {brings.distribution}=={brings.version}.",
        )
    if there == here and not missing and not told["lacking"]:
        yield Finding(level="ok", message=f"the node {node} sees the results folder and has llem {there}")


def _failed(folder: Path, *, output: Path, python: str, state: str, code: int, node: str) -> Finding:
    where = f"the node {node}" if node else "a node"
    if code == _UNSEEN:
        return Finding(
            level="error",
            message=f"{where} does not see the results folder {output.absolute()}, or cannot write there",
            remedy="Put results on a file system that the nodes share: --output /PATH/ON/IT. "
            f"Compare: srun ls -ld {output.absolute()}.",
        )
    if code == _NO_PYTHON:
        return Finding(
            level="error",
            message=f"{where} does not have the Python {python}",
            remedy="Put the virtual environment on the shared file system, or name another: runner_options.slurm.python.",
        )
    if code == _NO_LLEM:
        with contextlib.suppress(OSError, ValueError):
            said = json.loads((folder / "said").read_text(encoding="utf-8"))["error"]
            return Finding(
                level="error",
                message=f"on {where} {python} cannot import llem and llem-slurm: {said}",
                remedy=f"Install them there: {python} -m pip install llem=={version('llem')} llem-slurm.",
            )
    return Finding(
        level="error",
        message=f"the job that was to look at {where} ended ({state}, exit code {code}) and told nothing",
        remedy="Try one by hand: srun hostname. Look at runner_options.slurm.setup.",
    )


def _state(number: str) -> tuple[str | None, int, str]:
    """State of the job if it is over, with exit code and node."""
    try:
        text = run(["scontrol", "show", "job", "--oneliner", number])
    except SlurmRefused:
        text = ""
    fields = dict(word.split("=", 1) for word in text.split() if "=" in word)
    if not fields:
        with contextlib.suppress(LlemError):
            told = run(["sacct", "-X", "-n", "-P", f"--format={ACCOUNT_FORMAT}", f"--jobs={number}"]).strip().split("|")
            fields = {"JobState": told[1].split()[0], "ExitCode": told[2], "NodeList": told[3]}
    state = fields.get("JobState")
    if state in (None, "PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED"):
        return None, 0, ""
    return state, int(fields.get("ExitCode", "0:0").partition(":")[0]), fields.get("NodeList", "").replace("(null)", "")


def _asked(context: PreflightContext, options: SlurmOptions) -> Mapping[str, Any]:
    """The question to a node: modules that must be importable there, and plugins, each as the word of its kind and its name.

    The node's own llem reads every experiment, so that it has to know backend and scenario, and starts the container of an image. What a
    worker needs besides is asked for where it runs in no image.
    """
    modules: dict[str, None] = {}
    plugins: dict[tuple[str, str], None] = {}
    for one in context.experiments:
        runner, _, image = context.runners.get(one.backend, "").partition(":")
        if runner != RUNNER:
            continue
        plugins[BACKENDS.word, one.backend] = plugins[SCENARIOS.word, one.measurement.scenario] = None
        if image or options.image:
            plugins[RUNNERS.word, options.container] = None
            continue
        modules.update(dict.fromkeys(context.registry.find(BACKENDS, one.backend).requires))
        plugins[DATASETS.word, one.dataset.name] = None
        plugins.update(dict.fromkeys((SAMPLERS.word, name) for name in one.measurement.samplers or ()))
    return {"modules": list(modules), "plugins": list(plugins)}
