"""Every warning reaches every conclusion, with the weight that the one table gives it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from llem.plugins import default_registry
from llem.results.rows import study_rows
from llem.results.store import job_directories
from llem_analysis.commands.analyze import analyze
from llem_analysis.commands.compare import compare
from llem_analysis.commands.pareto import pareto
from llem_analysis.commands.pick import pick
from llem_analysis.commands.show import show
from llem_analysis.configurations import summarise
from llem_analysis.metric_names import MAIN, METRIC_SPECS
from llem_analysis.telling import tellings
from llem_analysis.warning_codes import FEW, IMPOSSIBLE, UNRELIABLE, WARNINGS, kind_of
from llem_analysis.weighed_rows import VOIDED, qualities_of, weighed
from llem_analysis.weighing import codes_of, touched_text
from llem_exporters.latex import latex_table
from llem_exporters.source import Source
from llem_report.gather import gather

WriteDesign = Callable[..., Path]
ROOT = Path(__file__).parents[1]
SIZES = [{"pytorch.batch_size": size} for size in (1, 2, 4)]
OF_RESULTS = [code for code in WARNINGS if code not in (IMPOSSIBLE, FEW)]
"""Those that can stand in a result's `warnings`."""

ENERGY = "energy.headline.j_per_output_token"
CONCLUDING = ("analyze", "compare", "pick", "pareto", "report", "latex")


def study(write: WriteDesign, code: str, on: Callable[[Any], bool] = lambda _: True) -> Path:
    """Three configurations of three cycles, all with energy, speed, latency and memory, that have a warning."""
    return write(
        SIZES,
        energy=lambda p: 4.0 / p["pytorch.batch_size"],
        speed=lambda p: 50.0 * p["pytorch.batch_size"],
        ttft=lambda p: 0.01 * p["pytorch.batch_size"],
        memory=lambda p: 1000.0 * p["pytorch.batch_size"],
        cycles=3,
        noise=0.01,
        relative=True,
        each=lambda p, _: {"warnings": {code: "as seen"}} if on(p) else {},
    )


def said(name: str, folder: Path) -> str:
    """Output of a command on a study, with its errors."""
    if name == "report":
        return "\n".join(gather(folder).warnings)
    if name == "latex":
        return latex_table(Source(folder))
    command = {"analyze": analyze, "compare": compare, "pick": pick, "pareto": pareto, "show": show}[name]
    done: Result = CliRunner().invoke(command, [str(folder)], obj=default_registry())
    return f"{done.output}\n{done.exception or ''}"


@pytest.mark.parametrize("code", OF_RESULTS)
def test_a_warning_on_every_run_is_told_by_every_command_that_concludes(write_design: WriteDesign, code: str) -> None:
    folder, touched = study(write_design, code), WARNINGS[code].touches & {"energy", "work"}
    for name in CONCLUDING:
        text = said(name, folder)
        sentences = [line for line in text.splitlines() if f"`{code}`" in line]
        assert sentences, f"{name} does not tell of {code}:\n{text}"
        assert re.search(r"\b[39] of [39]\b", " ".join(sentences)), f"{name} tells the number of runs"
        informs = [line for line in sentences if "For information" in line]
        if WARNINGS[code].weight == "inform":
            assert informs == sentences, f"{name} tells once, at the end, what informs"
        elif touched:
            assert len(informs) < len(sentences), f"{name}: what voids or qualifies energy is no mere information"


@pytest.mark.parametrize("code", OF_RESULTS)
def test_show_tells_each_warning_by_its_weight(write_design: WriteDesign, code: str) -> None:
    text = said("show", study(write_design, code))
    (line,) = [line for line in text.splitlines() if line.startswith((f"warning: {code} ", f"note: {code} "))]
    weight = WARNINGS[code].weight
    assert line.startswith("note" if weight == "inform" else "warning")
    assert ("Left out of the figures above" in line) == (weight == "void")


VOIDING = [code for code in OF_RESULTS if WARNINGS[code].weight == "void"]
OF_ENERGY = [code for code in VOIDING if WARNINGS[code].touches & {"energy", "work"}]


@pytest.mark.parametrize("code", OF_ENERGY)
def test_what_a_warning_voids_is_in_no_mean_no_front_and_no_choice(write_design: WriteDesign, code: str) -> None:
    """Only the best configuration has it: the second best is picked, and nothing is concluded from the first's energy."""
    folder = study(write_design, code, on=lambda p: p["pytorch.batch_size"] == 4)
    assert said("pick", folder).startswith("# pytorch.batch_size=2\n")
    front = json.loads(CliRunner().invoke(pareto, [str(folder), "--json"], obj=default_registry()).output)
    assert front["missing"] == ["pytorch.batch_size=4"]
    best = summarise(study_rows(folder))[-1]
    assert "j_per_output_token" not in best.figures
    assert "j_per_output_token" in best.voided
    pairs = json.loads(CliRunner().invoke(compare, [str(folder), "--json"], obj=default_registry()).output)["pairs"]
    assert "j_per_output_token" in pairs[0]["figures"]
    assert "j_per_output_token" not in pairs[1]["figures"]
    assert all("j_per_output_token" not in c.figures for c in gather(folder).configurations if "4" in c.label)


@pytest.mark.parametrize("code", sorted(set(VOIDING) - set(OF_ENERGY)))
def test_what_voids_latency_leaves_energy_and_is_in_no_conclusion_on_latency(
    write_design: WriteDesign, code: str
) -> None:
    folder = study(write_design, code, on=lambda p: p["pytorch.batch_size"] == 4)
    assert WARNINGS[code].touches == {"latency"}
    best = summarise(study_rows(folder))[-1]
    assert "j_per_output_token" in best.figures
    assert "ttft_p50_s" not in best.figures
    assert said("pick", folder).startswith("# pytorch.batch_size=4\n")
    command = [str(folder), "--min", "ttft"]
    assert CliRunner().invoke(pick, command, obj=default_registry()).output.startswith("# pytorch.batch_size=1\n")


@pytest.mark.parametrize(
    ("code", "gone"),
    [
        ("saturated", {"attainment", "attainment_low", "goodput_rps", "good_tokens"}),
        ("host_suspended", {"attainment", "attainment_low", "goodput_rps", "good_tokens", "achieved_rps"}),
    ],
)
def test_what_voids_latency_voids_what_was_judged_by_it(code: str, gone: set[str]) -> None:
    names = [
        "attainment",
        "attainment_low",
        "goodput_rps",
        "good_tokens",
        "achieved_rps",
        "offered_rps",
        "in_flight_mean",
    ]
    row = {"status": "done", "warnings": [code], **{f"scenario_metrics.{name}": 0.5 for name in names}}
    left = weighed(row)
    assert {name for name in names if left[f"scenario_metrics.{name}"] is None} == gone


@pytest.mark.parametrize("value", [0.0, -24.23])
def test_an_energy_that_is_not_possible_is_used_nowhere_and_marked_where_it_is_shown(
    write_design: WriteDesign, value: float
) -> None:
    folder = write_design(
        SIZES, energy=lambda p: value if p["pytorch.batch_size"] == 4 else 4.0 / p["pytorch.batch_size"], cycles=3
    )
    assert said("pick", folder).startswith("# pytorch.batch_size=2\n")
    for name in CONCLUDING:
        assert f"`{IMPOSSIBLE}`" in said(name, folder), name
    text = said("show", folder)
    assert f"warning: {IMPOSSIBLE} (1 of 3 configurations)" in text
    assert "24.2" not in text
    last = max(job_directories(folder))
    assert "not possible: do not use it" in said("show", last)


def test_a_negative_adjusted_energy_of_an_old_result_is_marked_and_its_raw_energy_stands(
    write_design: WriteDesign,
) -> None:
    folder = write_design(SIZES, energy=lambda _: 1.0, cycles=3)
    for job in job_directories(folder):
        data = json.loads((job / "result.json").read_text())
        for total in (data["energy"]["headline"], *data["energy"]["totals"]):
            total["adjusted_j"] = -24.23
        (job / "result.json").write_text(json.dumps(data))
    found = summarise(study_rows(folder))[0]
    assert "adjusted_j" not in found.figures
    assert found.figures["j_per_output_token"].mean == 1.0
    assert f"warning: {IMPOSSIBLE}" in said("show", folder)
    (line,) = [text for text in said("show", job).splitlines() if "adjusted_j" in text]
    assert line.endswith("not possible: do not use it")


def test_energy_marked_unreliable_is_told_as_any_other_warning(write_design: WriteDesign) -> None:
    folder = write_design(SIZES, energy=lambda _: 1.0, cycles=3, noise=0.01)
    for job in job_directories(folder):
        data = json.loads((job / "result.json").read_text())
        data["energy"]["headline"]["unreliable"] = True
        (job / "result.json").write_text(json.dumps(data))
    for name in CONCLUDING:
        assert f"(`{UNRELIABLE}`)" in said(name, folder), name
    assert f"warning: {UNRELIABLE} (3 of 3 configurations)" in said("show", folder)


def test_a_code_that_the_table_lacks_qualifies_every_figure(write_design: WriteDesign) -> None:
    folder = study(write_design, "a_plugins_own")
    for name in CONCLUDING:
        assert "`a_plugins_own`" in said(name, folder), name
    assert kind_of("a_plugins_own").weight == "qualify"
    text = said("pick", folder)
    assert "its runs have the warning `a_plugins_own`" in text
    assert said("analyze", folder).count("9 of 9 runs have the warning `a_plugins_own`") == 1


@pytest.mark.parametrize(("last", "least"), [("p90", 100), ("p95", 200), ("p99", 1_000)])
def test_a_percentile_stands_from_ten_observations_beyond_it_on(last: str, least: int) -> None:
    column = f"latency.ttft_s.{last}"
    for n, voided in ((least, {}), (least - 1, {column: FEW})):
        row = weighed({"status": "done", "latency.ttft_s.n": n, column: 0.5})
        assert dict(row.get(VOIDED) or {}) == voided
        assert row[column] == (None if voided else 0.5)


def test_shared_cpu_energy_qualifies_the_machines_energy_and_informs_beside_that_of_gpus() -> None:
    def row(scope: str) -> dict[str, Any]:
        return {
            "status": "done",
            "warnings": ["cpu_energy_shared"],
            "energy.headline.scope": scope,
            "energy.headline.method": "counter",
            ENERGY: 1.0,
        }

    assert [one.weight for one in tellings([row("cpu")], [ENERGY])] == ["qualify"]
    assert [one.weight for one in tellings([row("gpu")], [ENERGY])] == ["inform"]


@pytest.mark.parametrize(("method", "weight"), [("counter", "inform"), ("power", "inform"), ("estimate", "qualify")])
@pytest.mark.parametrize("column", [ENERGY, "energy.stages.prefill.j_per_token"])
def test_other_load_qualifies_every_estimate_and_no_gpu_that_is_measured(column: str, method: str, weight: str) -> None:
    row = {
        "status": "done",
        "warnings": ["other_load"],
        "energy.headline.scope": "gpu",
        "energy.headline.method": method,
        column: 1.0,
    }
    assert [one.weight for one in tellings([row], [column])] == [weight]


def test_no_module_keeps_a_list_of_codes_beside_the_table() -> None:
    """A collection of two codes or more is a private table; single codes are where they are given or told apart."""
    found = []
    core = [ROOT / "core/src/llem" / name for name in ("results", "study", "cli")]
    readers = [ROOT / "plugins" / name / "src" for name in ("llem-analysis", "llem-exporters", "llem-report")]
    modules = [path for folder in (*core, *readers) for path in folder.rglob("*.py")]
    assert len(modules) > 100
    for path in modules:
        if path.name == "warning_codes.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Dict):
                parts = [k for k in node.keys if k is not None]
            elif isinstance(node, ast.List | ast.Tuple | ast.Set):
                parts = list(node.elts)
            else:
                continue
            codes = {p.value for p in parts if isinstance(p, ast.Constant) and p.value in WARNINGS}
            if len(codes) > 1:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {sorted(codes)}")
    assert not found


def test_every_code_that_is_given_is_in_the_table() -> None:
    given = {}
    givers = ("warn", "ResultWarning", "Caveat", "Fault")
    sources = [path for part in ("core", "plugins", "runners") for path in (ROOT / part).rglob("src/**/*.py")]
    for path in sources:
        text = path.read_text(encoding="utf-8")
        if not any(name in text for name in givers):
            continue  # most files, which need no parser
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            told = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "code")]
            if name in givers:
                given |= {p.value: path.name for p in told if isinstance(p, ast.Constant) and isinstance(p.value, str)}
    assert len(given) > 30, "the search finds them"
    assert {code: name for code, name in given.items() if code not in WARNINGS} == {}


def test_the_page_of_warnings_is_the_table() -> None:
    page = (ROOT / "docs/method/warnings.md").read_text(encoding="utf-8")
    for code, kind in WARNINGS.items():
        assert f"| `{code}` | {touched_text(kind)} |" in page, "run `make docs`"


FIGURE_COLUMNS = st.sampled_from([METRIC_SPECS[name].column for name in MAIN])
ROWS = st.fixed_dictionaries(
    {
        "status": st.just("done"),
        "warnings": st.lists(st.sampled_from([*WARNINGS, "somebody_elses"]), max_size=4),
        "energy.headline.unreliable": st.booleans(),
        "energy.headline.scope": st.sampled_from(["gpu", "cpu"]),
        "energy.headline.method": st.just("counter"),
    }
).flatmap(
    lambda row: st.dictionaries(FIGURE_COLUMNS, st.none() | st.floats(-5, 5), max_size=7).map(lambda f: {**row, **f})
)


@given(ROWS)
def test_weighing_is_done_once_changes_no_other_value_and_leaves_nothing_impossible(row: Mapping[str, Any]) -> None:
    once = weighed(row)
    assert weighed(once) == once
    voided = dict(once.get(VOIDED) or {})
    for column, value in row.items():
        assert once[column] == (None if column in voided else value)
    assert all(once.get(METRIC_SPECS[n].column) is None or once[METRIC_SPECS[n].column] > 0 for n in MAIN)
    assert set(codes_of(once)) == set(codes_of(row))


@given(st.lists(ROWS, max_size=6))
def test_every_code_is_told_exactly_once_whatever_the_runs(rows: list[Mapping[str, Any]]) -> None:
    found = tellings(rows, [ENERGY])
    codes = [one.code for one in found]
    assert sorted(codes) == sorted({code for row in rows for code in codes_of(row)})
    assert all(1 <= one.runs <= one.of == len(rows) for one in found)
    assert qualities_of(ENERGY) == {"energy"}
