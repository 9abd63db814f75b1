"""A runner: where a worker runs. It moves a job directory there and back, and never sees an engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from llem.config.experiment import ExperimentConfig
from llem.config.section import Section
from llem.specs.check import Finding
from llem.specs.registry import SpecRegistry

PlacementRule = Literal["same_node", "spread"]
"""Where the cycles of one configuration run: all on one node, or each on another one as far as there are nodes."""


Location = Literal["here", "container", "elsewhere"]
"""`here`: processes on this machine, in llem's own environment. `container`: on this machine too, in an environment that comes
along, such as an image. `elsewhere`: on other machines, of which nothing that is seen here says anything."""


@dataclass(frozen=True, kw_only=True)
class RunnerSpec:
    """Registration of a runner, by `llem_runners`.

    Attributes:
        name: the word in `runners:`, before a colon.
        api_version: the `API_VERSION` that it was written for.
        summary: one line for `llem plugins`.
        runner: `package.module:Class` of the `Runner`, imported when a plan uses it.
        location: where its workers run; how many at once is another matter (`Runner.capacity`). Those on this machine, `here`
            and in a `container`, run one after another with pauses between them, and what preflight finds here is in their
            results. Those in a `container` may be of backends that conflict, and need no engine here. Those `elsewhere` wait
            for none but each other.
        argument: what may follow the colon, such as `IMAGE`, or None.
        requires: import names that must be present; looked up, never imported.
        install: the command that brings them, for messages.
        placements: which rules of `execution.placement` it keeps to, besides `any`. A study that asks for another is refused
            before anything starts. A runner whose jobs all run on one machine keeps to `same_node` by itself.
        by_gpu: its jobs run on this machine, and those on different GPUs can do so side by side where a study asks for
            that (`execution.parallel: by_gpu`): each is told its own in CUDA_VISIBLE_DEVICES.
        options: the model of its own section, `runner_options: {NAME: …}` in a study; None where there is nothing to set.
            Every field has a default. Options say where and how a worker runs, never what it measures: they are no part
            of an experiment's identity.
        reclaim: `package.module:function` of a runner whose jobs go on when llem is gone; takes a study's folder (`Path`),
            returns a sentence for each thing that it did. Called before such a study is resumed, and before anything of it
            is looked at: when it returns, no job of the study is under way any more, nor will one start. Raises LlemError
            where it cannot be sure of that. It is asked of every study, and says nothing of one that was never its own.
    """

    name: str
    api_version: int
    summary: str
    runner: str
    location: Location = "here"
    argument: str | None = None
    requires: tuple[str, ...] = ()
    install: str | None = None
    placements: frozenset[PlacementRule] = frozenset()
    options: type[Section] | None = None
    by_gpu: bool = False
    reclaim: str | None = None

    @property
    def on_this_machine(self) -> bool:
        """True where its workers share this machine with llem and with each other."""
        return self.location != "elsewhere"


@dataclass(frozen=True, kw_only=True)
class RunnerContext:
    """A runner's context: its study.

    Attributes:
        registry: everything that is registered.
        argument: what stood after the colon, or None.
        study_id: name of the study's folder, for labels.
        study_dir: absolute path of that folder, or None before there is one.
        backend: the backend that it runs.
        image: the backend's default image, or None; cpu_image: the one for a machine without an NVIDIA GPU, or None.
        options: what the study sets for it, an instance of the spec's `options`; None where the spec has none.
        at_once: how many of its jobs the study will run side by side on this machine; more than one for a runner with
            `by_gpu` only.
        warm_start: workers may be forked from a process that has imported the engine's module.
    """

    registry: SpecRegistry
    argument: str | None = None
    study_id: str = ""
    study_dir: Path | None = None
    backend: str = ""
    image: str | None = None
    cpu_image: str | None = None
    options: Section | None = None
    at_once: int = 1
    warm_start: bool = False


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a job shall run with regard to the other cycles of its configuration. A study without such a wish has none.

    Attributes:
        rule: `same_node`: the node of every job of this key is one and the same; `spread`: as many different nodes as
            there are, each as often as the others.
        key: jobs of one key belong together (the configuration's identity).
        nodes: where jobs of this key ran that have ended, in the order in which they ended, each time they did; also
            those of before a resume. Names are as the worker told them (`environment.node`). Jobs of the same key
            that are still under way are not in it: those the runner has started itself, so it keeps count of them.
    """

    rule: PlacementRule
    key: str
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Job:
    """One experiment to run: a job directory with `experiment.json` in it.

    Attributes:
        directory: absolute path of the job directory.
        config: the experiment.
        config_hash: its identity.
        environment: variables to set for the worker, over what the runner passes anyway. A runner adds what it knows of
            the node: `LLEM_NODE_EXCLUSIVE` is `1` where the node is this job's alone, `0` where others may run there, and
            unset where it does not know; `LLEM_NODE` is the node's name where the worker would not find it (its host
            name is another in a container).
        placement: where it shall run, or None for anywhere.
    """

    directory: Path
    config: ExperimentConfig
    config_hash: str
    environment: Mapping[str, str] = field(default_factory=dict)
    placement: Placement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """The end of a worker.

    Attributes:
        code: exit code; None where a signal ended it or nothing is known.
        signal: name of the signal, such as `SIGKILL`, or None.
        cause: what the runner knows beyond that, such as `out of memory: …`; one sentence, or None.
        error: the kind of failure where the runner can tell it, such as `OutOfMemory`; the type of the failure in the
            result, instead of `Crash`.
        node: where it ran or would have run, for a result that the worker could not write; None where that is not known.
    """

    code: int | None = None
    signal: str | None = None
    cause: str | None = None
    error: str | None = None
    node: str | None = None


class RunningJob(Protocol):
    """A worker under way.

    One thread waits for it. Another may stop it meanwhile, and a third may stop it again with less grace: then all of them
    return when everything is gone.
    """

    def poll(self) -> Exit | None:
        """Its end, or None while it runs. Returns at once; when it returns an `Exit`, every process is gone."""

    def wait(self, timeout_s: float) -> Exit | None:
        """Sleep (never spin: the meters would see it) until it ends or the time is over.

        Of a runner that takes few jobs at once it is asked every 0.2 s, of one that takes a thousand every half minute.
        """

    def stop(self, grace_s: float) -> Exit:
        """End it with everything that it started: ask, wait `grace_s` (0: do not ask), then kill. Returns when all is gone."""


@runtime_checkable
class Queues(Protocol):
    """Interface that a `RunningJob` offers besides where it may have to wait for its turn, as in a cluster's queue."""

    def queued(self) -> bool:
        """Tell whether it still waits; returns at once. Waiting counts for neither of the time limits."""


class Runner(Protocol):
    """Runs job directories, several at once where `capacity` says so. Made with a `RunnerContext`.

    `start` is called in a thread of each job's own, so that many may be in it at once where the capacity is above 1.
    """

    def preflight(self, experiments: Sequence[ExperimentConfig]) -> Iterable[Finding]:
        """Check that it can run these: one of each distinct combination of backend, section and model."""

    def capacity(self) -> int:
        """Number of jobs at once. Asked of runners elsewhere: on this machine experiments run one after another, however many
        it could take, or one on each of its GPUs (`RunnerSpec.by_gpu`).
        """

    def start(self, job: Job) -> RunningJob:
        """Start the worker; its outputs appear in the job directory, `events.jsonl` and `worker.log` while it runs.

        Raises:
            llem.errors.LlemError: it could not be started; the study records the failure and goes on.
        """

    def close(self) -> None:
        """Release what the runner holds; every job has ended."""
