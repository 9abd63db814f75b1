"""A task of lm-evaluation-harness: read from a file, or found by its name among those that the package brings."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from llem.plugin_api import DatasetError, missing_requirements
from llem_quality.bars import silent_bars
from llem_quality.task_document import read_task_file

if TYPE_CHECKING:
    from lm_eval.api.task import Task
    from lm_eval.tasks import TaskManager

FEWSHOT_SEED = 1234
"""Of the examples that a task draws for its prompts: the one that lm-evaluation-harness takes by itself."""


def load_task(path: str | None, base_dir: str) -> Task:
    """The task.

    Args:
        path: `dataset.path`: a YAML file, or a name.
        base_dir: the folder that a relative path starts from.

    Raises:
        DatasetError: lm-evaluation-harness is not installed, there is no such task, its data cannot be read, or it asks for anything else than one text a question.
    """
    if path is None:
        raise DatasetError(
            "a dataset of questions needs a task.",
            where="dataset.path",
            remedy="Set it to a task's YAML file, or to a name that `lm_eval ls tasks` lists.",
        )
    if missing_requirements(("lm_eval",)):
        raise DatasetError(
            "tasks are read and scored by lm-evaluation-harness, which is not installed here.",
            where=path,
            remedy="pip install 'llem-quality[harness]'.",
        )
    try:
        with silent_bars():
            task = _read(Path(base_dir, Path(path).expanduser())) if is_file(path) else _named(path)
    except DatasetError:
        raise
    except Exception as error:  # a task brings code and data of its own, and any of it can fail
        raise DatasetError(
            f"this task cannot be loaded: {type(error).__name__}: {error}.",
            where=path,
            remedy="Try it by itself: lm_eval validate --tasks NAME --include_path FOLDER.",
        ) from error
    _refuse_other_kinds(task, path)
    task.set_fewshot_seed(seed=FEWSHOT_SEED)
    return task


def is_file(path: str) -> bool:
    """True where a task is meant by its file, false where by its name."""
    return path.endswith((".yaml", ".yml")) or "/" in path


def _read(path: Path) -> Task:
    if not path.is_file():
        raise DatasetError("there is no such file.", where=str(path), remedy="Correct dataset.path.")
    from lm_eval.tasks import TaskManager

    said = read_task_file(path)
    if not isinstance(said.get("task"), str):
        raise DatasetError(
            "it names no single task (`task: NAME`).",
            where=str(path),
            remedy="Give the file of one task, not of a group.",
        )
    arguments = said.get("dataset_kwargs") or {}
    manager = TaskManager(include_defaults=False)
    if "data_files" not in arguments:
        return _only(manager.load(str(path))["tasks"], str(path))
    # lm-evaluation-harness takes paths of data from the folder that it runs in. A file that includes the task's own says more.
    more = {
        "include": str(path.resolve()),
        "task": said["task"],
        "dataset_kwargs": {**arguments, "data_files": _beside(arguments["data_files"], path.parent)},
    }
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / path.name
        whole.write_text(yaml.safe_dump(more), "utf-8")
        return _only(manager.load(str(whole))["tasks"], str(path))


def _named(name: str) -> Task:
    manager = _all_tasks()
    if name not in manager.all_tasks:
        raise DatasetError(
            "there is no task of this name.",
            where=name,
            remedy="`lm_eval ls tasks` lists them; a file's path ends in .yaml.",
        )
    return _only(manager.load(name)["tasks"], name)


@cache
def _all_tasks() -> TaskManager:
    """The tasks that the package brings: it reads thousands of files to know their names."""
    from lm_eval.tasks import TaskManager

    return TaskManager()


def _only(tasks: dict[str, Task], where: str) -> Task:
    if len(tasks) != 1:
        raise DatasetError(
            f"it stands for {len(tasks)} tasks ({', '.join([*tasks][:4])}, …), and a quality run is of one.",
            where=where,
            remedy="Name one of them.",
        )
    return next(iter(tasks.values()))


def _beside(files: Any, folder: Path) -> Any:
    """The files of a task's data, relative ones from the folder of the task's own file."""
    if isinstance(files, dict):
        return {key: _beside(value, folder) for key, value in files.items()}
    if isinstance(files, list):
        return [_beside(value, folder) for value in files]
    return files if "://" in str(files) else str((folder / str(files)).resolve())


def _refuse_other_kinds(task: Task, path: str) -> None:
    """An engine of llem answers with text. It tells no likelihoods, which tasks of multiple choice are scored by."""
    if task.OUTPUT_TYPE != "generate_until":
        raise DatasetError(
            f"the task {task.task_name} is of the kind {task.OUTPUT_TYPE}, which is scored by likelihoods, and llem's engines answer "
            "with text alone.",
            where=path,
            remedy="Take a task of the kind generate_until: many tasks have such a variant, often named *_generative or *_cot.",
        )
    if getattr(task, "MULTIMODAL", False):
        raise DatasetError(
            f"the task {task.task_name} asks about images or sound.", where=path, remedy="Take one of text."
        )
    if task.config.repeats != 1:
        raise DatasetError(
            f"the task {task.task_name} asks each question {task.config.repeats} times.",
            where=path,
            remedy="Set `repeats: 1` in its file.",
        )
    if getattr(task, "UNSAFE_CODE", False):
        raise DatasetError(
            f"the task {task.task_name} runs code that the model writes, and llem runs none.",
            where=path,
            remedy="Take another.",
        )
