"""`llem audit`: a study that keeps all rules, and one for each rule that breaks it and no other."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from designed_studies import designed_result
from pyarrow import parquet as pq

from llem.cli import main
from llem.errors import ConfigError, ResultError
from llem.results.facts import CpuFacts, DeviceFacts, Facts
from llem.results.job_directory import REQUESTS, RESULT, TIMESERIES, write_json
from llem.results.models import (
    Baseline,
    Batching,
    DeviceEnergy,
    DeviceThermal,
    Distribution,
    EnergyFigure,
    ExperimentResult,
    Latency,
    ResultWarning,
    SamplerReport,
    Warmup,
)
from llem.study.manifest.manifest import Entry, StudyManifest
from llem.study.verify import seal
from llem_analysis import audit
from llem_analysis.audit_facts import FACTS
from llem_analysis.audit_rules import FOLDER, Rule, RuleSet, names, read_rules
from llem_analysis.comparison import PAIRS_CYCLES
from llem_analysis.warning_codes import WARNINGS

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "audit.md"
POINTS = [{"pytorch.batch_size": size} for size in (1, 8)]
CYCLES = 3
RULES = {name: read_rules(name) for name in names()}
"""Read once: PyYAML takes as long for them as the audit does."""


@dataclass
class Draft:
    """A study on its way to the disk: a test changes what it wants to be otherwise.

    Attributes:
        results: one for each experiment; rows: of each one's `requests.parquet`; states: of each in the manifest.
    """

    results: list[ExperimentResult]
    rows: list[list[dict[str, Any]]]
    states: list[str]
    order: str = "shuffled"
    with_manifest: bool = True
    after: list[Callable[[Path], None]] = field(default_factory=list)

    def each(self, **changes: Any) -> None:
        """Change parts of every result."""
        self.results = [one.model_copy(update=changes) for one in self.results]

    def inside(self, part: str, **changes: Any) -> None:
        """Change figures of one part of every result."""
        self.results = [
            one.model_copy(update={part: getattr(one, part).model_copy(update=changes)}) for one in self.results
        ]

    def device(self, **changes: Any) -> None:
        """Change figures of every device."""
        for number, one in enumerate(self.results):
            assert one.energy is not None
            devices = [device.model_copy(update=changes) for device in one.energy.devices]
            energy = one.energy.model_copy(update={"devices": devices})
            self.results[number] = one.model_copy(update={"energy": energy})

    def headline(self, **changes: Any) -> None:
        """Change the headline of every result, and the total that it is."""
        for number, one in enumerate(self.results):
            assert one.energy is not None
            assert one.energy.headline is not None
            new = one.energy.headline.model_copy(update=changes)
            energy = one.energy.model_copy(update={"headline": new, "totals": [new]})
            self.results[number] = one.model_copy(update={"energy": energy})

    def warn(self, code: str) -> None:
        """Give the first result a warning."""
        self.results[0] = self.results[0].model_copy(update={"warnings": [ResultWarning(code=code, message="seen")]})

    def finish(self, finish: str, share: float = 1.0) -> None:
        """Let a share of all requests end so."""
        for rows in self.rows:
            for row in rows[: int(len(rows) * share)]:
                row["finish"] = finish

    def serve(self) -> None:
        """Make it a study under load."""
        self.each(scenario="server")

    def natural(self) -> None:
        """Let answers end by themselves."""
        self.each(work="natural_length")
        self.finish("stop")


def sound(point: Mapping[str, Any], cycle: int, position: int) -> ExperimentResult:
    """A result that may be published."""
    result = designed_result(point, energy=0.5, speed=100.0, ttft=0.1, memory=100.0, cycle=cycle, position=position)
    assert result.energy is not None
    assert result.energy.headline is not None
    device = DeviceEnergy(
        device="GPU-1",
        name="NVIDIA H200",
        scope="gpu",
        sampler="nvml",
        method="counter",
        energy_j=500.0,
        mean_w=300.0,
        counter_j=500.0,
        power_j=501.0,
        disagreement=0.002,
        samples=1200,
        update_period_s=0.1,
    )
    spread = Distribution(n=1000, mean=1.0, std=0.1, min=0.5, max=2.0, p50=1.0, p90=1.2, p95=1.3, p99=1.5)
    return result.model_copy(
        update={
            "energy": result.energy.model_copy(update={"window_s": 61.0, "devices": [device]}),
            "latency": Latency(ttft_s=spread, e2e_s=spread),
            "batching": Batching(requested_size=8, mean_size=8.0, fill_share=1.0, source="batches", batches=10),
            "warmup": Warmup(enabled=True, converged=True, prompts=20, batches=10, cv=0.01),
            "baseline": Baseline(enabled=True, source="measured", duration_s=30.0, idle_w={"GPU-1": 70.0}),
            "thermal": [
                DeviceThermal(
                    device="GPU-1",
                    temperature_start_c=50.0,
                    temperature_end_c=60.0,
                    temperature_max_c=61.0,
                    power_limit_w=700.0,
                )
            ],
            "samplers": [
                SamplerReport(
                    name="nvml", used=True, devices=["GPU-1"], requested_hz=20.0, achieved_hz=19.9, readings=1200
                )
            ],
            "environment": {"study": {"git_commit": "c" * 40, "git_dirty": False}},
            "facts": Facts(
                devices=[DeviceFacts(id="GPU-1", model="NVIDIA H200", driver="550.1", power_limit_w=700.0)],
                cpu=CpuFacts(model="EPYC"),
                versions={"llem": "0.1.0", "llem-pytorch": "0.1.0", "torch": "2.13.0+cpu"},
                model_revision="f" * 40,
                dataset_sha256="d" * 64,
            ),
        }
    )


@pytest.fixture
def draft() -> Draft:
    results = [
        sound(point, cycle, number)
        for number, (cycle, point) in enumerate(
            [(cycle, point) for cycle in range(1, CYCLES + 1) for point in POINTS], start=1
        )
    ]
    rows = [[{"finish": "length", "output_tokens": 16} for _ in range(10)] for _ in results]
    return Draft(results, rows, ["done"] * len(results))


def written(draft: Draft, folder: Path) -> Path:
    """The study on disk, with digests in its manifest as a run leaves them."""
    entries = []
    for number, (result, rows, state) in enumerate(zip(draft.results, draft.rows, draft.states, strict=True), start=1):
        job = folder / "experiments" / f"{number:04}"
        job.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), job / REQUESTS)
        pq.write_table(pa.table({"t_s": [0.0, 1.0]}), job / TIMESERIES)
        write_json(job / RESULT, result.model_dump(mode="json"))
        entry = Entry(
            position=number,
            cycle=result.identity.cycle,
            config_hash=result.identity.config_hash,
            directory=f"experiments/{job.name}",
            files=seal(job),
        )
        entry.state = state  # type: ignore[assignment]
        entries.append(entry)
    manifest = StudyManifest(
        name="made",
        created_at="2026-01-01T12:00:00.000+00:00",
        llem_version="0.1.0",
        study_design_hash="a" * 64,
        order=draft.order,
        seed=42,
        cycles=CYCLES,
        experiments=entries,
        state="complete",
    )
    if draft.with_manifest:
        (folder / "manifest.json").write_text(manifest.text())
    for change in draft.after:
        change(folder)
    return folder


def failed(folder: Path, rules: str | RuleSet = "publication") -> list[str]:
    chosen = RULES.get(rules, rules) if isinstance(rules, str) else rules
    return [one.id for one in audit(folder, chosen).outcomes if one.status == "failed"]


def edit(name: str) -> Callable[[Path], None]:
    """Change a file of the first experiment after it was sealed."""

    def change(folder: Path) -> None:
        path = folder / "experiments" / "0001" / name
        path.write_bytes(path.read_bytes() + b" ")

    return change


def other_driver(draft: Draft) -> None:
    facts = draft.results[0].facts
    assert facts is not None
    devices = [DeviceFacts(id="GPU-1", model="NVIDIA H200", driver="560.0", power_limit_w=700.0)]
    half = [one for one in draft.results if one.identity.point == draft.results[0].identity.point]
    for one in half:
        place = draft.results.index(one)
        draft.results[place] = one.model_copy(update={"facts": facts.model_copy(update={"devices": devices})})


def facts(draft: Draft, **changes: Any) -> None:
    draft.inside("facts", **changes)


def lose_a_cycle(draft: Draft) -> None:
    # It was never planned: the study is complete, and too small.
    for part in (draft.results, draft.rows, draft.states):
        del part[-1]


BREAKS: Mapping[str, Callable[[Draft], Any]] = {
    "complete": lambda d: d.states.__setitem__(-1, "failed"),
    "files-intact": lambda d: d.after.append(edit(REQUESTS)),
    "own-measurement": lambda d: d.warn("imported"),
    "window": lambda d: d.inside("energy", window_s=59.0),
    "cycles": lose_a_cycle,
    "order": lambda d: setattr(d, "order", "sequential"),
    "warm-up": lambda d: d.inside("warmup", converged=False),
    "steady": lambda d: (d.serve(), d.warn("unsteady")),
    "baseline": lambda d: d.inside("baseline", enabled=False),
    "baseline-steady": lambda d: d.warn("baseline_unsteady"),
    "measured": lambda d: d.headline(method="estimate", scope="cpu"),
    "reliable": lambda d: d.headline(unreliable=True),
    "meter-sound": lambda d: d.warn("counter_jumped"),
    "meters-agree": lambda d: d.device(disagreement=0.03),
    "meter-periods": lambda d: d.device(update_period_s=1.3),
    "undisturbed": lambda d: d.warn("gpu_shared"),
    "throttling": lambda d: d.warn("thermal_throttle"),
    "temperature": lambda d: d.each(thermal=[DeviceThermal(device="GPU-1", temperature_max_c=96.0)]),
    "power-range": lambda d: d.device(mean_w=771.0),
    "hardware-alike": other_driver,
    "work": lambda d: d.warn("prompt_cached"),
    "requests-answered": lambda d: d.finish("error", 0.1),
    "batches-full": lambda d: d.inside("batching", fill_share=0.85),
    "answers-whole": lambda d: (d.natural(), d.finish("length", 0.4)),
    "percentiles": lambda d: (
        d.serve(),
        d.each(
            latency=Latency(e2e_s=Distribution(n=199, mean=1, std=0, min=1, max=1, p50=1, p90=1, p95=None, p99=None))
        ),
    ),
    "latencies": lambda d: d.warn("late_generator"),
    "model-pinned": lambda d: (
        facts(d, model_revision=None),
        d.each(config={**d.results[0].config, "model": {"source": "somebody/model", "revision": None}}),
    ),
    "dataset-pinned": lambda d: d.each(dataset=None),
    "released": lambda d: facts(d, versions={"llem": "0.2.0.dev3+gabc", "llem-pytorch": "0.1.0"}),
    "study-committed": lambda d: d.each(environment={"study": {"git_dirty": True}}),
}


@pytest.mark.parametrize("change", ["nothing", "load", "natural length"])
def test_a_sound_study_keeps_every_rule(draft: Draft, tmp_path: Path, change: str) -> None:
    {"nothing": lambda: None, "load": draft.serve, "natural length": draft.natural}[change]()
    found = audit(written(draft, tmp_path / "study"))
    assert [(one.id, one.value) for one in found.outcomes if one.status == "failed"] == []
    assert found.exit_code == 0
    assert found.counts["passed"] >= len(BREAKS) - 4


def test_every_rule_of_publication_is_broken_here() -> None:
    assert [rule.id for rule in RULES["publication"].rules] == list(BREAKS)


@pytest.mark.parametrize("rule", BREAKS)
def test_a_study_that_breaks_a_rule_is_found_by_that_rule_alone(draft: Draft, tmp_path: Path, rule: str) -> None:
    BREAKS[rule](draft)
    found = audit(written(draft, tmp_path / "study"), RULES["publication"])
    assert [one.id for one in found.outcomes if one.status == "failed"] == [rule]
    first = found.outcomes[0]
    assert first.id == rule, "the worst first"
    assert first.failing > 0
    assert first.where
    assert found.exit_code == 1


OF_ML_ENERGY: Mapping[str, Callable[[Draft], Any]] = {
    "files-present": BREAKS["files-intact"],
    "completion": BREAKS["complete"],
    "request-success": BREAKS["requests-answered"],
    "steady-duration": lambda d: d.inside("energy", window_s=29.0),
    "collection-rate": lambda d: d.each(
        samplers=[SamplerReport(name="nvml", used=True, requested_hz=20.0, achieved_hz=14.0)]
    ),
    "throughput-there": lambda d: d.inside("throughput", tokens_per_s=None),
    "energy-valid": lambda d: d.headline(j_per_output_token=101.0),
    "power-range": BREAKS["power-range"],
    "temperature-range": BREAKS["temperature"],
    "batch-saturation": lambda d: d.inside("batching", fill_share=0.7),
    "output-length": BREAKS["answers-whole"],
}


def whole_machine(draft: Draft) -> None:
    """A meter of the machine beside that of the card."""
    for number, one in enumerate(draft.results):
        assert one.energy is not None
        host = EnergyFigure(
            scope="host", method="power", samplers=["bmc"], devices=["BMC"], energy_j=900.0, mean_w=500.0
        )
        energy = one.energy.model_copy(update={"totals": [*one.energy.totals, host]})
        draft.results[number] = one.model_copy(update={"energy": energy})


OF_MLPERF: Mapping[str, Callable[[Draft], Any]] = {
    "whole-machine": lambda d: d.inside("energy", totals=[]),
    "window": BREAKS["window"],
    "sampling": lambda d: d.each(samplers=[SamplerReport(name="nvml", used=True, requested_hz=0.5, achieved_hz=0.5)]),
    "edge-uncertainty": lambda d: d.device(update_period_s=0.7),
    "meter-sound": lambda d: d.warn("sampling_gap"),
    "measured": lambda d: d.inside(
        "energy",
        headline=d.results[0].energy.headline.model_copy(update={"method": "estimate"}),  # type: ignore[union-attr]
    ),
    "complete": BREAKS["complete"],
    "files-intact": BREAKS["files-intact"],
    "released": BREAKS["released"],
}


@pytest.mark.parametrize("rule", OF_ML_ENERGY)
def test_each_rule_of_ml_energy_finds_what_breaks_it(draft: Draft, tmp_path: Path, rule: str) -> None:
    assert [one.id for one in RULES["ml-energy"].rules] == list(OF_ML_ENERGY)
    OF_ML_ENERGY[rule](draft)
    assert failed(written(draft, tmp_path / "study"), "ml-energy") == [rule]


@pytest.mark.parametrize("rule", OF_MLPERF)
def test_each_rule_of_mlperf_power_finds_what_breaks_it(draft: Draft, tmp_path: Path, rule: str) -> None:
    assert [one.id for one in RULES["mlperf-power"].rules] == list(OF_MLPERF)
    whole_machine(draft)
    OF_MLPERF[rule](draft)
    assert failed(written(draft, tmp_path / "study"), "mlperf-power") == [rule]


def test_sound_studies_keep_the_rules_of_others(draft: Draft, tmp_path: Path) -> None:
    whole_machine(draft)
    folder = written(draft, tmp_path / "study")
    assert failed(folder, "ml-energy") == failed(folder, "mlperf-power") == []


# --- What is told.


def test_a_study_without_a_manifest_is_not_complete(draft: Draft, tmp_path: Path) -> None:
    draft.with_manifest = False
    found = {one.id: one for one in audit(written(draft, tmp_path / "study")).outcomes}
    assert [one.id for one in found.values() if one.status == "failed"] == ["complete"]
    assert (found["complete"].value, found["complete"].reason) == (None, "1 of 1 without a value")
    assert found["order"].status == "not_applicable"


def test_files_that_are_gone_or_exchanged_are_told(draft: Draft, tmp_path: Path) -> None:
    folder = written(draft, tmp_path / "study")
    (folder / "experiments" / "0002" / TIMESERIES).unlink()
    shutil.copy(folder / "experiments" / "0003" / RESULT, folder / "experiments" / "0004" / RESULT)
    (outcome,) = [one for one in audit(folder).outcomes if one.id == "files-intact"]
    assert (outcome.status, outcome.failing, outcome.of) == ("failed", 2, 6)
    assert outcome.where == ("experiments/0002", "experiments/0004")


def test_the_worst_value_is_told_with_limit_and_source(draft: Draft, tmp_path: Path, capsys: Any) -> None:
    for number, window_s in enumerate((40.0, 20.0, 50.0)):
        one = draft.results[number]
        assert one.energy is not None
        draft.results[number] = one.model_copy(update={"energy": one.energy.model_copy(update={"window_s": window_s})})
    folder = written(draft, tmp_path / "study")
    (outcome,) = [one for one in audit(folder).outcomes if one.id == "window"]
    assert (outcome.value, outcome.limit, outcome.failing, outcome.of) == (20.0, "at least 60 s", 3, 6)
    assert main(["audit", str(folder), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["counts"]["failed"], document["exit_code"]) == (1, 1)
    assert {"id", "status", "value", "limit", "source", "remedy"} <= document["outcomes"][0].keys()
    assert main(["audit", str(folder)]) == 1
    out = capsys.readouterr().out
    assert "20 s" in out
    assert "MLPerf Power, least duration" in out
    assert "measurement.min_window_s: 60" in out


def test_rules_with_more_failures_come_first(draft: Draft, tmp_path: Path) -> None:
    draft.warn("thermal_throttle")
    draft.inside("energy", window_s=59.0)
    folder = written(draft, tmp_path / "study")
    outcomes = audit(folder).outcomes
    assert [one.id for one in outcomes][:2] == ["window", "throttling"]
    ranks = [("failed", "passed", "not_applicable").index(one.status) for one in outcomes]
    assert ranks == sorted(ranks)


def test_nothing_that_is_done_is_nothing_to_audit(tmp_path: Path, write_design: Any) -> None:
    from llem.results.models import Failure

    folder = write_design(
        POINTS, each=lambda _p, _c: {"failure": Failure(type="Crash", message="it ended")}, name="failed"
    )
    with pytest.raises(ResultError, match="no experiment in it is done"):
        audit(folder)
    with pytest.raises(ResultError):
        audit(tmp_path / "nowhere")


# --- The rules as data.


def test_every_warning_that_weighs_is_under_one_rule_of_publication() -> None:
    by_value = {
        "warmup_not_converged": "warm-up",
        "unreliable": "reliable",
        "energy_disagreement": "meters-agree",
        "short_window": "meter-periods",
        "batch_fill": "batches-full",
        "requests_lost": "requests-answered",
        "few_observations": "percentiles",
    }
    rules = RULES["publication"].rules
    listed = [*(code for rule in rules for code in rule.warnings or ()), *by_value]
    assert sorted(listed) == sorted(code for code, kind in WARNINGS.items() if kind.weight != "inform")
    assert set(by_value.values()) <= {rule.id for rule in rules}


def test_the_orders_of_publication_are_those_that_tell_drift_from_effects() -> None:
    (rule,) = [rule for rule in RULES["publication"].rules if rule.id == "order"]
    assert set(rule.one_of or ()) == {order for order, pairs in PAIRS_CYCLES.items() if pairs}


def test_the_sets_that_come_along_are_named_everywhere() -> None:
    assert names() == ["publication", "ml-energy", "mlperf-power"]
    page = PAGE.read_text(encoding="utf-8")
    for name in names():
        assert read_rules(name).name == name
        assert f"`{name}`" in page


def test_the_page_explains_every_word_and_every_fact() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, fact in FACTS.items():
        assert re.search(rf"^\| `{re.escape(name)}` \| {re.escape(fact.meaning)} \|$", page, re.MULTILINE), name
    for word in (*Rule.model_fields, *RuleSet.model_fields):
        assert f"`{word}`" in page, word


def own_rules(tmp_path: Path, **changes: Any) -> Path:
    rule = {
        "id": "short",
        "says": "windows are short",
        "value": "energy.window_s",
        "at_most": 10,
        "source": "us",
        "remedy": "wait less",
        **changes,
    }
    file = tmp_path / "ours.yaml"
    file.write_text(json.dumps({"name": "ours", "about": "ours", "rules": [rule]}))
    return file


def test_rules_of_ones_own_are_taken(draft: Draft, tmp_path: Path) -> None:
    folder = written(draft, tmp_path / "study")
    assert failed(folder, str(own_rules(tmp_path))) == ["short"]
    assert failed(folder, str(own_rules(tmp_path, at_most=100))) == []
    assert failed(folder, str(own_rules(tmp_path, when={"config.backend": ["vllm", "sglang"]}))) == []
    assert failed(folder, str(own_rules(tmp_path, when={"config.backend": ["testbed", "vllm"]}))) == ["short"]
    assert failed(folder, str(own_rules(tmp_path, value="scenario_metrics.none", missing="not_applicable"))) == []
    assert failed(folder, str(own_rules(tmp_path, value="scenario_metrics.none"))) == ["short"]
    assert failed(folder, str(own_rules(tmp_path, value="energy.host.power.energy_j"))) == ["short"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"value": None}, "a rule has either `value` or `warnings`"),
        ({"warnings": ["saturated"]}, "a rule has either `value` or `warnings`"),
        ({"at_most": None}, "a `value` has one test"),
        ({"equals": True}, "a `value` has one test"),
        ({"at_most": "10 s"}, "rule short, at_most"),
        ({"atmost": 10}, "rule short, atmost"),
        ({"id": "No Id"}, "rule No Id, id"),
        ({"value": "energy.windw_s"}, "Did you mean `energy.window_s`"),
        ({"value": "run.windows"}, "neither a fact nor a column"),
        ({"value": "study.machines", "when": {"scenario": "offline"}}, "`when` chooses among runs"),
    ],
)
def test_rules_that_cannot_be_taken_say_why(draft: Draft, tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    folder = written(draft, tmp_path / "study")
    with pytest.raises(ConfigError, match=re.escape(says)):
        audit(folder, str(own_rules(tmp_path, **changes)))


def test_a_name_that_is_nearly_right_is_told(tmp_path: Path, draft: Draft) -> None:
    with pytest.raises(ConfigError, match="Did you mean `publication`"):
        audit(written(draft, tmp_path / "study"), "publicaton")
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    with pytest.raises(ConfigError, match="is not YAML"):
        read_rules(str(broken))


def test_rules_hold_no_code() -> None:
    def scalars(data: Any) -> Iterator[Any]:
        if isinstance(data, dict):
            for value in data.values():
                yield from scalars(value)
        elif isinstance(data, list):
            for value in data:
                yield from scalars(value)
        else:
            yield data

    import yaml

    for path in FOLDER.glob("*.yaml"):
        assert all(isinstance(one, str | int | float | bool) for one in scalars(yaml.safe_load(path.read_text())))
