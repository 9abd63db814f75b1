"""A worker that comes from a fork: what the process must have imported that it is forked from, and its first steps."""

from __future__ import annotations

import importlib
import os
import random
import signal
import sys
import tempfile
from collections.abc import Mapping
from types import ModuleType

from llem.measure.forked import FORKED, START, Fork, fork_by
from llem.plugins import load_object
from llem.specs.kinds import BACKENDS, DATASETS, SAMPLERS
from llem.specs.registry import SpecRegistry


def import_worker(backend: str, registry: SpecRegistry) -> None:
    """Import what a worker of this backend will need. The engine's class is looked up and not made."""
    # What a worker imports on its way, wherever it does.
    import llem.measure.orchestrator
    import llem.measure.sampling
    import llem.worker  # noqa: F401
    from llem.measure.environment import packages_here

    spec = registry.find(BACKENDS, backend)
    load_object(spec.engine)
    for name in spec.preload:
        importlib.import_module(name)
    for dataset in registry[DATASETS].values():
        if not dataset.requires:
            load_object(dataset.loader)
    for sampler in registry[SAMPLERS].values():
        load_object(sampler.sampler)
    packages_here()


def be_worker(job_dir: str, scratch: str, environment: Mapping[str, str], fork: Fork) -> int:
    """Be what `python -m llem.worker JOB_DIR` would be, but for the time that its imports take; returns the exit code.

    Args:
        job_dir: what it works on.
        scratch: the folder where it runs.
        environment: all its variables.
        fork: forks the process that reads the meters (see `llem.measure.forked`).
    """
    os.chdir(scratch)
    os.environ.clear()
    os.environ.update(environment)
    os.environ[START] = FORKED
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tempfile.tempdir = None  # it was that of the process which it was forked from
    sys.path[0] = scratch
    fork_by(fork)
    import llem.worker

    sys.modules["__main__"] = llem.worker
    sys.argv = [str(llem.worker.__file__), job_dir]
    _seed_afresh()
    return llem.worker.main(sys.argv[1:])


def _seed_afresh() -> None:
    """As a new interpreter does. Torch begins with the same seed in every process, forked or not."""
    random.seed()
    numpy: ModuleType | None = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()
