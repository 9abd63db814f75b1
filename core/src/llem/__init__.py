"""llem: energy, speed and latency of LLM inference across deployment choices.

Everything in `__all__` is stable. It is imported on first use, so that `import llem` costs nothing:

    import llem

    result = llem.run_experiment("random:tiny-llama", dataset={"n": 8})
    study = llem.run_study("study.yaml")
    study.to_arrow()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llem.api import load_study, resume, run_experiment, run_study
    from llem.config.experiment import ExperimentConfig
    from llem.config.study import StudyConfig
    from llem.errors import (
        ConfigError,
        DatasetError,
        LlemError,
        ModelError,
        PluginError,
        PreflightError,
        ResultError,
    )
    from llem.results.models import ExperimentResult
    from llem.results.study import StudyResult

    __version__: str

__all__ = [
    "ConfigError",
    "DatasetError",
    "ExperimentConfig",
    "ExperimentResult",
    "LlemError",
    "ModelError",
    "PluginError",
    "PreflightError",
    "ResultError",
    "StudyConfig",
    "StudyResult",
    "__version__",
    "import_table",
    "load_study",
    "resume",
    "run_experiment",
    "run_study",
]

_HOME = dict.fromkeys(("load_study", "resume", "run_experiment", "run_study"), "llem.api") | {
    "ExperimentConfig": "llem.config.experiment",
    "ExperimentResult": "llem.results.models",
    "StudyConfig": "llem.config.study",
    "StudyResult": "llem.results.study",
    "import_table": "llem_exporters",
}
"""Where each name lives; what is not listed here is an error class."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("llem")
    elif name in __all__:
        from llem.distributions import attribute_of

        value = attribute_of(_HOME.get(name, "llem.errors"), name)
    else:
        raise AttributeError(f"module 'llem' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
