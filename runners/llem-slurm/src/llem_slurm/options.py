"""Settings of Slurm jobs: `runner_options: {slurm: …}`."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from llem.plugin_api import Section

_WORD = r"^[^\s,;|&]+$"
_TIME = r"^(\d+-\d+(:\d+){0,2}|\d+(:\d+){0,2})$"


class SlurmOptions(Section):
    """Jobs of a Slurm cluster: where they go, what they ask for, and how they are watched."""

    partition: str | None = Field(
        None, pattern=r"^\S+$", description="partition, or several with commas; null: the site's default"
    )
    account: str | None = Field(None, pattern=_WORD, description="account that pays; null: your default")
    qos: str | None = Field(None, pattern=_WORD, description="quality of service")
    constraint: str | None = Field(None, min_length=1, description="features of nodes, such as a100 or 'a100&nvlink'")
    nodelist: str | None = Field(
        None, pattern=r"^\S+$", description="one node that every job runs on; cycles are placed by execution.placement"
    )
    exclude: str | None = Field(None, pattern=r"^\S+$", description="nodes that no job runs on, such as n[1-3]")
    time: str | None = Field(
        None, pattern=_TIME, description="limit of a job, such as 4:00:00; null: limits.timeout_s and 10 minutes"
    )
    gpus: int | None = Field(
        None, ge=0, description="GPUs of a job (--gres); null: as many as the experiment says, else 1"
    )
    gpu_type: str | None = Field(None, pattern=_WORD, description="kind of GPU, as in --gres=gpu:KIND:1")
    cpus: int | None = Field(None, ge=1, description="CPUs of a job; null: the site's default")
    mem: str | None = Field(
        None,
        pattern=r"^\d+[KMGT]?$",
        description="memory of a job, such as 64G; 0: all of the node's; null: the site's default",
    )
    exclusive: bool = Field(
        False, description="each job has its node for itself, so that CPU and host energy are its own"
    )
    requeues: int = Field(
        3, ge=0, description="how often a job may begin anew after a dead node or preemption; 0: it fails then"
    )
    max_running: int | None = Field(None, ge=1, description="jobs of an array that may run at once; null: no limit")
    capacity: int = Field(1_000, ge=1, description="jobs in the queue at once; the site's own limits lower it")
    image: str | None = Field(None, min_length=1, description="image that experiments run in; also as slurm:IMAGE")
    container: Literal["apptainer", "docker"] = Field(
        "apptainer", description="the runner that runs the image on the nodes"
    )
    container_options: dict[str, Any] = Field(
        default_factory=dict, description="options of that runner on the nodes, such as {memory: 64g}"
    )
    python: str | None = Field(
        None, pattern=r"^/\S+$", description="Python with llem on the nodes; null: the one that llem runs with here"
    )
    setup: list[str] = Field(
        default_factory=list, description="shell lines before each experiment, such as module load cuda"
    )
    extra: list[str] = Field(
        default_factory=list, description="further options of sbatch, such as [--licenses=x, --reservation=y]"
    )
    poll_s: float = Field(30.0, ge=1, le=600, description="longest pause between two looks at the queue")
    file_delay_s: float = Field(
        60.0, ge=0, le=3_600, description="how long files of other nodes may take to appear here (NFS caches)"
    )
    probe_s: float = Field(
        60.0, ge=0, le=3_600, description="how long preflight waits for a job that looks at a node; 0: it does not look"
    )

    @model_validator(mode="after")
    def _what_llem_sets_itself(self) -> Self:
        own = (
            "--array",
            "--job-name",
            "--comment",
            "--output",
            "--requeue",
            "--no-requeue",
            "--export",
            "--wrap",
            "--parsable",
        )
        for option in self.extra:
            if not option.startswith("--"):
                raise ValueError(f"write an option of `extra` as --NAME or --NAME=VALUE; found {option!r}")
            if option.partition("=")[0] in own:
                raise ValueError(f"llem sets {option.partition('=')[0]} itself; leave it out of `extra`")
        return self
