"""Tasks of lm-evaluation-harness: read, refused, and scored by the package itself."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from llem.plugin_api import ConfigError, DatasetConfig, DatasetError, LlemError, Request, RequestRecord
from llem_quality.config import QualityConfig
from llem_quality.dataset import how_many, load
from llem_quality.generator import QualityLoad
from llem_quality.questions import Question
from llem_quality.scoring import EngineLM, Score, metric_of, score
from llem_quality.task_file import load_task

pytestmark = pytest.mark.engine  # of lm-evaluation-harness: seconds to import

SUMS = Path(__file__).parents[3] / "examples" / "quality" / "sums.yaml"
WriteTask = Callable[..., Path]


def test_a_tasks_data_lies_beside_its_file_wherever_llem_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = load(DatasetConfig(name="lm_eval", path=SUMS.name, n=3), str(SUMS.parent))
    assert [one.text for one in found.prompts] == [f"3 + 4 = 7\n12 + 5 = 17\n0 + {b} =" for b in range(3)]
    assert {one.output_tokens for one in found.prompts} == {5}
    assert found.available == how_many(str(SUMS), None) == 625
    assert how_many(str(SUMS), 10) == 10
    assert found.provenance.startswith("task sums, version 1, of lm-eval ")


def test_a_dataset_is_known_by_all_its_questions(write_task: WriteTask) -> None:
    def digest(words: Sequence[str]) -> str:
        return load(DatasetConfig(name="lm_eval", path=str(write_task(words)), n=1), ".").sha256

    assert digest(["a", "b"]) == digest(["a", "b"]) != digest(["a", "c"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"output_type": "multiple_choice", "doc_to_choice": ["a", "b"], "doc_to_target": 0}, "likelihoods"),
        ({"repeats": 2}, "2 times"),
        ({"unsafe_code": True}, "runs code"),
        ({"task": ["a", "b"]}, "no single task"),
        ({"test_split": "other"}, "cannot be loaded"),
    ],
)
def test_a_task_of_another_kind_is_refused(write_task: WriteTask, changes: dict[str, Any], said: str) -> None:
    if changes.get("output_type") == "multiple_choice":
        changes = {**changes, "generation_kwargs": None, "metric_list": [{"metric": "acc"}]}
    with pytest.raises(DatasetError, match=said):
        load_task(str(write_task(["a"], **changes)), ".")


def test_a_file_may_include_another_and_name_functions(write_task: WriteTask, tmp_path: Path) -> None:
    base = write_task(["a", "b"])
    (tmp_path / "tasks" / "wording.py").write_text("def upper(doc):\n    return doc['word'].upper()\n")
    further = tmp_path / "further" / "loud.yaml"
    further.parent.mkdir()
    further.write_text(f"include: ../tasks/{base.name}\ntask: loud\n")
    base.write_text(base.read_text().replace('"say {{word}}:"', "!function wording.upper"))
    (tmp_path / "further" / "echoes.jsonl").write_text('{"word": "c"}\n')
    found = load(DatasetConfig(name="lm_eval", path="loud.yaml", n=1), str(further.parent))
    assert [one.text for one in found.prompts] == ["C"]
    assert found.provenance.startswith("task loud, ")
    further.write_text("include: loud.yaml\ntask: loud\n")
    with pytest.raises(DatasetError, match="includes itself"):
        load_task(str(further), ".")


def test_only_public_doors_of_the_harness_are_used() -> None:
    sources = Path(load_task.__code__.co_filename).parent.glob("*.py")
    private = re.compile(r"lm_eval(\.\w+)*\._|from lm_eval[\w.]* import _")
    assert [path.name for path in sources if private.search(path.read_text("utf-8"))] == []


@pytest.mark.parametrize("path", [None, "missing.yaml", "no_task_of_this_name"])
def test_a_task_that_is_not_there_is_refused(path: str | None, tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        load_task(path, str(tmp_path))


@pytest.mark.parametrize("changes", [{"n": 3}, {"n": 1, "shuffle": True}, {"n": 1, "input_tokens": 4}])
def test_questions_are_asked_whole_and_in_order(write_task: WriteTask, changes: dict[str, Any]) -> None:
    path = str(write_task(["a", "b"]))
    with pytest.raises(DatasetError):
        load(DatasetConfig(name="lm_eval", path=path, **changes), ".")


def answering(*texts: str) -> Callable[[Sequence[Question]], Sequence[str]]:
    def answer(questions: Sequence[Question]) -> Sequence[str]:
        assert len(questions) == len(texts)
        return texts

    return answer


def test_the_harness_says_what_is_right(write_task: WriteTask) -> None:
    task = load_task(str(write_task(["a", "b", "c"])), ".")
    assert score(task, 3, QualityConfig(), answering("a t2 more", "x", "c")) == Score(correct=2, of=3)
    task = load_task(str(write_task(["a", "b", "c"])), ".")
    assert score(task, 2, QualityConfig(), answering("a", "b")) == Score(correct=2, of=2)


def test_a_filter_is_chosen_by_name() -> None:
    task = load_task(str(SUMS), ".")
    right = answering(" 0", " 1.", "so: 2 ", "33")
    assert score(task, 4, QualityConfig(filter="first-number"), right) == Score(correct=3, of=4)
    with pytest.raises(ConfigError, match="no filter `other`"):
        score(load_task(str(SUMS), "."), 1, QualityConfig(filter="other"), answering("0"))


def test_a_metric_between_right_and_wrong_is_refused(write_task: WriteTask) -> None:
    changes = {"metric_list": [{"metric": "bleu", "aggregation": "bleu", "higher_is_better": True}]}
    task = load_task(str(write_task(["a"], **changes)), ".")
    with pytest.raises(LlemError):
        score(task, 1, QualityConfig(), answering("a"))


def test_the_metric_is_named_where_several_are_possible(write_task: WriteTask) -> None:
    task = load_task(str(write_task(["a"])), ".")
    assert metric_of(task, QualityConfig()) == "exact_match"
    with pytest.raises(ConfigError, match="no metric `f1`"):
        metric_of(task, QualityConfig(metric="f1"))


def test_likelihoods_are_told_to_be_none_of_an_engine() -> None:
    model = EngineLM(answering())
    for asked in (model.loglikelihood, model.loglikelihood_rolling):
        with pytest.raises(LlemError, match="likelihoods"):
            asked([])


class Counting:
    """An engine that counts tokens and tells none."""

    def generate(self, batch: Sequence[Request]) -> Sequence[RequestRecord]:
        return [
            RequestRecord(id=one.id, input_tokens=3, output_tokens=1, start_ns=0, end_ns=1, finish="length")
            for one in batch
        ]


def test_an_engine_without_text_is_refused_at_its_first_batch() -> None:
    engine: Any = Counting()
    with pytest.raises(LlemError, match="tells no text"):
        QualityLoad(engine).answer([Request(id=0, prompt="3 + 4 =", output_tokens=1)])


def test_what_to_install_is_told_where_lm_evaluation_harness_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(DatasetError, match="not installed here") as told:
        load_task("gsm8k", ".")
    assert "llem-quality[harness]" in str(told.value.remedy)
