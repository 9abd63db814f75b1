"""A metric, a chart and an export are a plugin of one file: the one in `examples/plugins/`, as every command sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import venv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "examples" / "plugins" / "llem-tokens-per-joule"
FILE = FOLDER / "llem_tokens_per_joule.py"
Say = Callable[..., subprocess.CompletedProcess[str]]
WriteDesign = Callable[..., Path]


@pytest.fixture
def study(write_design: WriteDesign) -> Path:
    """Two batch sizes over three cycles; the second takes half the energy."""
    points = [{"testbed.batch_size": size} for size in (1, 2)]
    return write_design(
        points, cycles=3, energy=lambda point: 2.0 / point["testbed.batch_size"], noise=0.01, relative=True
    )


@pytest.fixture
def say(tmp_path: Path) -> Say:
    """Runs llem where the file is installed, or another one in its place."""

    def run(*words: str | Path, code: str | None = None) -> subprocess.CompletedProcess[str]:
        site = tmp_path / "site"
        info = site / "llem_tokens_per_joule-0.1.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llem-tokens-per-joule\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text("[llem]\ntokens-per-joule = llem_tokens_per_joule\n")
        (site / FILE.name).write_text(FILE.read_text(encoding="utf-8") if code is None else code)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
        command = [sys.executable, "-m", "llem", *map(str, words)]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False, timeout=120
        )

    return run


def said(say: Say, *words: str | Path, **how: str) -> str:
    done = say(*words, **how)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_one_file_beside_its_metadata() -> None:
    assert {path.name for path in FOLDER.iterdir()} - {"__pycache__"} == {
        "LICENSE",
        "README.md",
        "pyproject.toml",
        FILE.name,
    }
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["llem"] == {"tokens-per-joule": FILE.stem}


@pytest.mark.process
def test_it_is_listed_and_registering_it_is_light(say: Say) -> None:
    listed = json.loads(said(say, "plugins", "--json"))["plugins"]
    (found,) = [plugin for plugin in listed if plugin["distribution"] == "llem-tokens-per-joule"]
    assert found["set_aside"] is None
    assert found["provides"] == {
        "metric": ["tokens_per_joule"],
        "chart": ["tokens-per-joule"],
        "exporter": ["markdown"],
    }


@pytest.mark.process
def test_show_orders_and_chooses_by_the_metric(say: Say, study: Path) -> None:
    def order(*words: str) -> list[int]:
        shown = json.loads(said(say, "show", study, "--json", *words))
        return [one["point"]["testbed.batch_size"] for one in shown["experiments"]]

    assert order("--sort", "tokens_per_joule") == [1, 2]
    assert order("--sort", "-tokens_per_joule") == [2, 1]
    assert order("--where", "tokens_per_joule>0.6") == [2]


@pytest.mark.process
def test_analyses_take_the_metric_as_any_other(say: Say, study: Path) -> None:
    found = json.loads(said(say, "analyze", study, "--figure", "tokens_per_joule", "--json"))
    (figure,) = found["figures"]
    assert (figure["name"], figure["unit"], figure["better"]) == ("tokens_per_joule", "tokens/J", "higher")
    assert figure["mean"] == pytest.approx(2**0.5 / 2, rel=0.05)
    chosen = json.loads(said(say, "pick", study, "--max", "tokens_per_joule", "--json"))
    assert chosen["settings"] == {"testbed.batch_size": 2}
    assert chosen["figures"]["tokens_per_joule"]["value"] == pytest.approx(1.0, rel=0.05)


@pytest.mark.process
def test_the_report_has_the_chart_and_the_metric_as_a_column(say: Say, study: Path) -> None:
    said(say, "report", study)
    page = (study / "report.html").read_text(encoding="utf-8")
    assert 'id="figure-tokens-per-joule"' in page
    assert "output tokens per joule" in page
    assert page.index('id="figure-latency"') < page.index('id="figure-tokens-per-joule"')
    said(say, "report", study, "--figure", "tokens-per-joule", "-o", "chart.svg")
    assert (study.parent / "chart.svg").read_text().startswith("<svg ")


@pytest.mark.process
def test_every_export_has_the_metric_and_there_is_one_more(say: Say, study: Path) -> None:
    import pyarrow.parquet as pq

    table = said(say, "export", study, "--format", "markdown").splitlines()
    assert table[0] == "| experiment | cycle | tokens/J | how |"
    assert len(table) == 2 + 6
    assert all("counter" in line for line in table[2:])
    header, *lines = said(say, "export", study, "--format", "csv").splitlines()
    assert "metric.tokens_per_joule" in header.split(",")
    assert len(lines) == 6
    said(say, "export", study, "--format", "parquet", "-o", "runs.parquet")
    field = pq.read_schema(study.parent / "runs.parquet").field("metric.tokens_per_joule")
    assert (str(field.type), field.metadata) == ("double", {b"unit": b"tokens/J"})
    told = json.loads(said(say, "export", study, "--format", "markdown", "-o", "t.md", "--json"))
    assert told == {"format": "markdown", "output": "t.md", "count": 6, "what": "runs"}
    assert (study.parent / "t.md").read_text().splitlines() == table


@pytest.mark.process
def test_what_a_warning_voids_voids_what_is_computed_from_it(say: Say, write_design: WriteDesign) -> None:
    points = [{"testbed.batch_size": size} for size in (1, 2)]
    warned = {"warnings": {"averaged_power": "the power is a mean"}}
    voided = write_design(points, energy=lambda _: 1.0, each=lambda _point, _cycle: warned)
    lines = said(say, "export", voided, "--format", "markdown").splitlines()[2:]
    assert [line.split(" | ")[2] for line in lines] == ["–", "–"]
    without = write_design(points, energy=lambda _: None, name="without")
    lines = said(say, "export", without, "--format", "markdown").splitlines()[2:]
    assert [line.split(" | ")[2:] for line in lines] == [["–", "– |"]] * 2


@pytest.mark.process
def test_an_unknown_form_or_figure_is_told_with_the_nearest(say: Say, study: Path) -> None:
    wrong = say("export", study, "--format", "markdwon")
    assert wrong.returncode == 4
    assert "Did you mean `markdown`?" in wrong.stderr
    wrong = say("report", study, "--figure", "tokens-per-jule")
    assert wrong.returncode == 4
    assert "Did you mean `tokens-per-joule`?" in wrong.stderr


@pytest.mark.process
def test_one_that_fails_is_named_and_everything_else_works(say: Say, study: Path) -> None:
    broken = FILE.read_text(encoding="utf-8").replace("joules = row[ENERGY]", "joules = row['nothing']")
    broken = broken.replace("    having = [", "    raise RuntimeError('kaputt')\n    having = [")
    assert "raise RuntimeError" in broken
    done = say("export", study, "--format", "csv", code=broken)
    assert done.returncode == 0
    assert "metric.tokens_per_joule" not in done.stdout.splitlines()[0]
    assert done.stderr.count("the metric tokens_per_joule of llem-tokens-per-joule 0.1.0 is left out") == 1
    assert said(say, "report", study, code=broken)
    page = (study / "report.html").read_text(encoding="utf-8")
    assert "llem-tokens-per-joule 0.1.0 fails (RuntimeError: kaputt)" in page
    one = say("report", study, "--figure", "tokens-per-joule", "-o", "chart.svg", code=broken)
    assert one.returncode != 0
    assert "kaputt" in one.stderr


@pytest.mark.process
def test_a_metric_of_a_linear_scale_is_ordered_by_and_never_a_ratio(say: Say, study: Path) -> None:
    linear = FILE.read_text(encoding="utf-8").replace("            energy=True,\n", '            scale="linear",\n')
    linear = linear.replace("1 / joules", "1 / joules - 0.75")
    assert "linear" in linear
    shown = json.loads(said(say, "show", study, "--json", "--where", "tokens_per_joule<0", code=linear))
    assert [one["point"]["testbed.batch_size"] for one in shown["experiments"]] == [1]
    for words in (["analyze", study, "--figure", "tokens_per_joule"], ["pick", study, "--max", "tokens_per_joule"]):
        done = say(*words, code=linear)
        assert done.returncode == 2
        assert "`tokens_per_joule` has a linear scale" in done.stderr


@pytest.mark.install
@pytest.mark.timeout(1200)
def test_pip_installs_it_into_an_empty_environment_and_it_works_there(
    wheels: Mapping[str, Path], study: Path, tmp_path: Path
) -> None:
    home = tmp_path / "env"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-compile", "-c", str(ROOT / "constraints.txt")]
    folder = str(wheels["llem"].parent)
    other = FOLDER.with_name("llem-file-accelerators")
    subprocess.run(
        [*pip, "--find-links", folder, str(FOLDER), str(other), "llem[report]", "llem[exporters]"], check=True
    )
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}

    def run(*words: Any) -> str:
        command = [str(home / "bin" / "llem"), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    shown = json.loads(run("show", study, "--json", "--sort", "-tokens_per_joule"))
    assert [one["point"]["testbed.batch_size"] for one in shown["experiments"]] == [2, 1]
    assert run("export", study, "--format", "markdown").count("counter") == 6
    run("report", study, "--figure", "tokens-per-joule", "-o", "chart.svg")
    assert (tmp_path / "chart.svg").read_text().startswith("<svg ")
    listed = {plugin["distribution"]: plugin for plugin in json.loads(run("plugins", "--json"))["plugins"]}
    assert listed["llem-file-accelerators"]["provides"] == {"accelerator": ["file"]}
    assert listed["llem-file-accelerators"]["set_aside"] is None
