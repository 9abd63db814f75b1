"""`llem replicate`: a bundle's study made ready, run again in another folder, and judged; and what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from llem_bundle.container import Content, Packing, measured
from llem_bundle.listing import LISTING
from llem_bundle.named_files import named_files, renamed

Llem = Callable[..., "subprocess.CompletedProcess[str]"]
PROMPTS = "".join(json.dumps({"prompt": f"say {number} words"}) + "\n" for number in range(6))


def rewritten(bundle: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A bundle with other content, whose every digest is right."""
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if name != LISTING}
    change(files)
    with target.open("wb") as out:
        Packing([measured(Content(name, lambda data=data: BytesIO(data))) for name, data in files.items()]).write(out)
    return target


def with_record(bundle: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A bundle with another `study.json`."""

    def edit(files: dict[str, bytes]) -> None:
        record = json.loads(files["study.json"])
        change(record)
        files["study.json"] = json.dumps(record).encode()

    return rewritten(bundle, target, edit)


def scaled(study: Path, factor: float) -> Path:
    """The study as it might have run again: other times, and every throughput so many times as high."""
    for path in study.glob("experiments/*/result.json"):
        result = json.loads(path.read_text())
        for phase in result["phases"]:
            phase["start_ns"], phase["end_ns"] = (phase[key] + 3_600_000_000_000 for key in ("start_ns", "end_ns"))
        if result["status"] == "done":
            result["throughput"]["tokens_per_s"] *= factor
            path.write_text(json.dumps(result))
    (study / "results.parquet").unlink(missing_ok=True)
    return study


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """One paragraph on the mistake, and no traceback."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


# --- Without a process.


def test_files_are_known_by_their_keys_and_by_how_they_are_written() -> None:
    document = {
        "model": {"source": "org/model", "tokenizer": "./tokenizer"},
        "dataset": {"name": "jsonl", "path": "prompts.jsonl", "field": "prompt"},
        "load": {"trace": "arrivals.csv"},
        "pytorch": {"lora_adapter": "/models/lora"},
        "sweep": {"dataset.path": ["a.jsonl", "../b.jsonl"], "dataset": [{"name": "hub", "path": "org/set"}]},
        "name": "demo.json",
    }
    found = {one.text: one.of_prompts for one in named_files(document)}
    assert found == {
        "./tokenizer": False,
        "prompts.jsonl": True,
        "arrivals.csv": True,
        "/models/lora": False,
        "a.jsonl": True,
        "../b.jsonl": True,
    }
    again = renamed(document, lambda text: f"files/{text.strip('./')}")
    assert [one.text for one in named_files(again)] == [
        f"files/{text.strip('./')}" for text in found if text.strip("./") not in ("tokenizer", "models/lora")
    ]
    assert again["dataset"]["field"] == "prompt"
    assert again["sweep"]["dataset"] == [{"name": "hub", "path": "org/set"}]


# --- Ran again.


@pytest.mark.process
def test_a_bundle_is_run_again_in_another_folder_and_judged(
    ran: Path, bundle: Path, llem: Llem, tmp_path: Path
) -> None:
    done = llem("replicate", bundle, "--json", "--margin", "20%")
    assert "Traceback" not in done.stderr
    document = json.loads(done.stdout)
    assert done.returncode == document["exit_code"] in (0, 1, 5)
    assert document["verdict"] == {0: "equivalent", 1: "different", 5: "undecided"}[done.returncode]
    assert document["differs_here"] == document["packages_differ_here"] == []
    assert document["unlike"] == []
    assert document["matched_by"] == "configuration"
    assert document["verified"]["differs"] == 0
    judged = {one["metric"]: one["judged"] for one in document["figures"]}
    assert judged.keys() == {"j_per_output_token", "tokens_per_s", "ttft_p50_s", "tpot_p50_s"}
    assert all((one["n_base"], one["n_other"]) == (3, 3) for one in judged.values() if one is not None)
    assert judged["tokens_per_s"]["interval"]["level"] == pytest.approx(0.9)

    (results,) = (tmp_path / "b-replica" / "results").iterdir()
    assert document["results"] == str(Path("b-replica") / "results" / results.name)
    before, after = (json.loads((folder / "manifest.json").read_text()) for folder in (ran, results))
    for key in ("name", "order", "seed", "cycles", "study_design_hash"):
        assert before[key] == after[key]
    of = [[(one["config_hash"], one["cycle"]) for one in study["experiments"]] for study in (before, after)]
    assert of[0] == of[1]

    again = llem("replicate", bundle, "--results", results, "--margin", "20%")
    assert again.returncode == done.returncode, again.stderr
    assert "90 % interval" in again.stdout


@pytest.mark.process
def test_it_is_prepared_and_nothing_runs(bundle: Path, llem: Llem, tmp_path: Path) -> None:
    done = llem("replicate", bundle, "--prepare", "-o", "again")
    assert done.returncode == 0, done.stderr
    assert "llem run again/study.yaml --output again/results" in done.stdout
    assert "nothing that llem knows of the machine differs here" in done.stderr
    assert [one.name for one in (tmp_path / "again").iterdir()] == ["study.yaml"]
    study = yaml.safe_load((tmp_path / "again" / "study.yaml").read_text())
    assert study["execution"]["cycles"] == 3
    assert study["execution"]["seed"] == 42
    assert study["dataset"]["seed"] == 0
    assert study["decoding"]["seed"] == 42
    dry = llem("run", "again/study.yaml", "--dry-run", "--json")
    assert dry.returncode == 0, dry.stderr
    assert not list(tmp_path.glob(".again*"))
    refused(llem("replicate", bundle, "--prepare", "-o", "again"), "nothing is overwritten")


# --- Judged.


@pytest.mark.process
@pytest.mark.parametrize(("factor", "margin", "code"), [(1.0, "99%", 0), (30.0, "50%", 1)])
def test_a_study_that_ran_already_is_judged(
    study: Path, bundle: Path, llem: Llem, factor: float, margin: str, code: int
) -> None:
    words = ("--results", scaled(study, factor), "--margin", margin, "--metric", "tokens_per_s")
    done = llem("replicate", bundle, *words)
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stdout.startswith(("equivalent: 1 figure", "different: 1 of 1 figure")[code])
    assert json.loads(llem("replicate", bundle, *words, "--json").stdout)["exit_code"] == code


@pytest.mark.process
def test_the_study_that_was_bundled_is_no_replica_of_itself(study: Path, bundle: Path, llem: Llem) -> None:
    done = llem("replicate", bundle, "--results", study, "--margin", "99%")
    assert done.returncode == 5, done.stdout + done.stderr
    assert "they are one and the same run" in done.stdout


@pytest.mark.process
def test_with_too_few_cycles_it_cannot_tell(study: Path, bundle: Path, llem: Llem) -> None:
    for path in sorted(study.glob("experiments/*/result.json")):
        if json.loads(path.read_text())["identity"]["cycle"] > 2:
            shutil.rmtree(path.parent)
    done = llem("replicate", bundle, "--results", scaled(study, 1.0))
    assert done.returncode == 5, done.stdout + done.stderr
    assert "cannot tell" in done.stdout
    assert "it takes 3 cycles or more" in done.stdout


@pytest.mark.process
def test_on_unlike_hardware_it_says_so(study: Path, bundle: Path, llem: Llem) -> None:
    for path in study.glob("experiments/*/result.json"):
        result = json.loads(path.read_text())
        result["facts"]["cpu"]["model"] = result["environment"]["cpu"]["model"] = "Other CPU"
        path.write_text(json.dumps(result))
    done = llem("replicate", bundle, "--results", scaled(study, 1.0))
    assert done.returncode == 5, done.stdout + done.stderr
    assert "is Other CPU" in done.stdout
    assert "only the ratios between configurations" in done.stdout


# --- What differs here.


@pytest.mark.process
def test_it_says_what_differs_here_before_it_runs(bundle: Path, llem: Llem, tmp_path: Path) -> None:
    def elsewhere(record: dict[str, Any]) -> None:
        host = record["hosts"][-1]
        host["cpu"], host["python"] = "Other CPU", "3.9.1"
        host["packages"] |= {"llem": "0.0.1", "click": "1.0"}
        record["document"]["runner_options"] = {"docker": {"memory": "4g"}}

    done = llem("replicate", with_record(bundle, tmp_path / "other.zip", elsewhere), "--prepare", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    told = "; ".join(document["differs_here"])
    assert "CPU: was Other CPU, is " in told
    assert "Python: was 3.9.1, is " in told
    assert "llem: was 0.0.1, is " in told
    assert document["packages_differ_here"][0].startswith("click: was 1.0, is ")
    assert "runner_options" in document["notes"][0]
    assert "runner_options" not in (tmp_path / "other-replica" / "study.yaml").read_text()
    assert "differs here: CPU: was Other CPU" in done.stderr


@pytest.mark.process
def test_a_meter_a_runner_and_code_of_a_model_are_told(bundle: Path, llem: Llem, tmp_path: Path) -> None:
    def change(files: dict[str, bytes]) -> None:
        record = json.loads(files["study.json"])
        record["document"]["model"] = {"source": "random:tiny-llama", "trust_remote_code": True}
        files["study.json"] = json.dumps(record).encode()
        for name in [one for one in files if one.endswith("/result.json")]:
            result = json.loads(files[name])
            result["environment"]["study"]["runner"] = {"name": "moon", "argument": "IMAGE", "image_id": "sha256:1"}
            for sampler in result.get("samplers") or ():
                sampler["name"] = "moonmeter"
            files[name] = json.dumps(result).encode()

    other = rewritten(bundle, tmp_path / "other.zip", change)
    done = llem("replicate", other, "--prepare")
    assert done.returncode == 0, done.stderr
    assert "differs here: runner of testbed: was moon:IMAGE, which is not installed here." in done.stderr
    assert "differs here: meter moonmeter: measured there, is not installed here." in done.stderr
    assert "runs code that a model brings along" in done.stderr
    # A figure in an image belongs to it: the study does not run elsewhere instead.
    assert yaml.safe_load((tmp_path / "other-replica" / "study.yaml").read_text())["runners"] == {
        "testbed": "moon:IMAGE"
    }
    ran = llem("run", "other-replica/study.yaml")
    assert ran.returncode == 4, ran.stderr
    assert "moon" in ran.stderr


# --- Prompts.


@pytest.fixture(scope="module")
def prompted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study with prompts of its own beside it, which ran. Not to be written to."""
    import sys

    from plain_environment import plain_environment

    folder = tmp_path_factory.mktemp("prompted")
    (folder / "prompts.jsonl").write_text(PROMPTS)
    study = {
        "name": "prompted",
        "model": "random:tiny-llama",
        "dataset": {"name": "jsonl", "path": "prompts.jsonl", "n": 4, "output_tokens": 3},
        "backend": "testbed",
        "measurement": {"min_window_s": 0.1, "settle_s": 0, "samplers": ["estimate"]},
        "warmup": {"enabled": False},
        "baseline": {"enabled": False},
    }
    (folder / "study.yaml").write_text(json.dumps(study))
    done = subprocess.run(
        [sys.executable, "-m", "llem", "run", "study.yaml"],
        cwd=folder,
        env=plain_environment() | {"XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (found,) = (folder / "results").iterdir()
    return found


@pytest.mark.process
def test_prompts_come_out_of_the_bundle_where_it_has_them(prompted: Path, llem: Llem, tmp_path: Path) -> None:
    made = llem("bundle", prompted, "--with-prompts", "-o", "p.zip")
    assert made.returncode == 0, made.stderr
    assert llem("verify", "p.zip").returncode == 0
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        assert archive.read("inputs/1.jsonl").decode() == PROMPTS
    done = llem("replicate", "p.zip", "--prepare", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["notes"] == []  # the same name, and so the same identity
    folder = tmp_path / "p-replica"
    assert (folder / "prompts.jsonl").read_text() == PROMPTS
    assert str(prompted.parent.parent) not in (folder / "study.yaml").read_text()


@pytest.mark.process
def test_prompts_that_a_bundle_has_not_got_are_asked_for_and_held_against_their_digest(
    prompted: Path, llem: Llem, tmp_path: Path
) -> None:
    assert llem("bundle", prompted, "-o", "p.zip").returncode == 0
    digest = hashlib.sha256(PROMPTS.encode()).hexdigest()
    refused(llem("replicate", "p.zip", "--prepare"), "prompts.jsonl", digest, "--data FOLDER")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "prompts.jsonl").write_text(PROMPTS + "\n")
    refused(llem("replicate", "p.zip", "--prepare", "--data", "mine"), "not the file that was measured with", digest)
    assert not (tmp_path / "p-replica").exists()
    (tmp_path / "mine" / "prompts.jsonl").write_text(PROMPTS)
    done = llem("replicate", "p.zip", "--prepare", "--data", "mine")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "p-replica" / "prompts.jsonl").read_text() == PROMPTS


@pytest.mark.process
def test_prompts_that_changed_since_are_not_bundled(prompted: Path, llem: Llem, tmp_path: Path) -> None:
    shutil.copytree(prompted.parent.parent, tmp_path / "moved")
    study = tmp_path / "moved" / "results" / prompted.name
    record = json.loads((study / "study.json").read_text())
    (study / "study.json").write_text(json.dumps({**record, "base_dir": str(tmp_path / "moved")}))
    (tmp_path / "moved" / "prompts.jsonl").write_text("{}")
    refused(llem("bundle", study, "--with-prompts", "-o", "p.zip"), "not the file that the study ran with")


@pytest.mark.process
def test_nothing_leads_outside_of_the_folder(prompted: Path, llem: Llem, tmp_path: Path) -> None:
    assert llem("bundle", prompted, "--with-prompts", "-o", "p.zip").returncode == 0

    def elsewhere(path: str) -> Callable[[dict[str, Any]], None]:
        return lambda record: record["document"]["dataset"].update(path=path)

    for path in ("/etc/passwd", "../../../../../../etc/passwd", "~/.bashrc"):
        other = with_record(tmp_path / "p.zip", tmp_path / "other.zip", elsewhere(path))
        refused(llem("replicate", other, "--prepare"), f"dataset.path: {path}")
    assert not (tmp_path / "other-replica").exists()

    def indexed(files: dict[str, bytes]) -> None:
        files["inputs/index.json"] = json.dumps({"prompts.jsonl": "../../../etc/passwd"}).encode()

    refused(
        llem("replicate", rewritten(tmp_path / "p.zip", tmp_path / "leading.zip", indexed), "--prepare"),
        "no path below",
    )

    # A path that leads away is brought into the folder.
    outside = str(prompted.parent.parent / "prompts.jsonl")

    def absolute(files: dict[str, bytes]) -> None:
        record = json.loads(files["study.json"])
        record["document"]["dataset"]["path"] = outside
        files["study.json"] = json.dumps(record).encode()
        files["inputs/index.json"] = json.dumps({outside: "inputs/1.jsonl"}).encode()

    done = llem("replicate", rewritten(tmp_path / "p.zip", tmp_path / "away.zip", absolute), "--prepare", "--json")
    assert done.returncode == 0, done.stderr
    study = yaml.safe_load((tmp_path / "away-replica" / "study.yaml").read_text())
    assert (tmp_path / "away-replica" / study["dataset"]["path"]).read_text() == PROMPTS
    assert not study["dataset"]["path"].startswith("/")
    assert "another identity" in json.loads(done.stdout)["notes"][0]


# --- Refused.


@pytest.mark.process
def test_a_bundle_whose_figures_differ_is_not_replicated(bundle: Path, llem: Llem, tmp_path: Path) -> None:
    def falsify(files: dict[str, bytes]) -> None:
        for name in [one for one in files if one.endswith("/result.json")]:
            result = json.loads(files[name])
            if result["status"] == "done":
                result["tokens"]["output"] += 5
                files[name] = json.dumps(result).encode()

    false = rewritten(bundle, tmp_path / "false.zip", falsify)
    refused(llem("replicate", false), "not what its raw data give", "tokens.output")
    assert not (tmp_path / "false-replica").exists()


@pytest.mark.process
def test_what_is_no_bundle_or_was_changed_is_refused(study: Path, bundle: Path, llem: Llem, tmp_path: Path) -> None:
    refused(llem("replicate", "absent.zip"), "there is no bundle here")
    (tmp_path / "text.zip").write_text("no archive")
    refused(llem("replicate", "text.zip"), "no bundle that llem wrote")
    refused(llem("replicate", bundle, "--results", tmp_path), "")
    refused(llem("replicate", bundle, "--margin", "0"), "--margin")
    refused(llem("replicate", bundle, "--margin", "five"), "such as 5%")
    refused(llem("replicate", bundle, "--results", study, "--metric", "tokens"), "there is no figure `tokens`")
    refused(llem("replicate", bundle, "--results", study, "--prepare"), "--results judges")
    data = bytearray(bundle.read_bytes())
    data[data.index(b"cff-version")] ^= 1
    bundle.write_bytes(data)
    refused(llem("replicate", bundle), "`CITATION.cff`")


def _without_record(files: dict[str, bytes]) -> None:
    del files["study.json"]


def _other_backend(files: dict[str, bytes]) -> None:
    record = json.loads(files["study.json"])
    record["document"]["backend"] = "no_such_backend"
    files["study.json"] = json.dumps(record).encode()


def _no_key(files: dict[str, bytes]) -> None:
    record = json.loads(files["study.json"])
    record["document"]["measurement"]["no_such_key"] = 1
    files["study.json"] = json.dumps(record).encode()


def _no_hosts(files: dict[str, bytes]) -> None:
    record = json.loads(files["study.json"])
    record["hosts"] = [{"packages": 5}]
    files["study.json"] = json.dumps(record).encode()


@pytest.mark.process
@pytest.mark.parametrize(
    ("change", "said", "code"),
    [
        (_without_record, "no record of what the study was started with", 2),
        (_other_backend, "no_such_backend", 4),
        (_no_key, "no_such_key", 2),
        (_no_hosts, "`study.json` is not as llem writes it", 2),
    ],
)
def test_a_study_that_cannot_run_here_is_refused_in_a_paragraph(
    bundle: Path, llem: Llem, tmp_path: Path, change: Callable[[dict[str, bytes]], None], said: str, code: int
) -> None:
    done = llem("replicate", rewritten(bundle, tmp_path / "other.zip", change))
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "bug of llem" not in done.stderr
    assert not (tmp_path / "other-replica").exists()


@pytest.mark.process
@pytest.mark.parametrize(("variable", "value"), [("LLEM_MEASUREMENT_SAMPLE_HZ", "5"), ("LLEM_EXECUTION_CYCLES", "1")])
def test_settings_of_ones_own_that_change_the_study_are_refused(
    bundle: Path, llem: Llem, tmp_path: Path, variable: str, value: str
) -> None:
    refused(llem("replicate", bundle, "--prepare", **{variable: value}), variable, "settings of your own")
    assert not (tmp_path / "b-replica").exists()


@pytest.mark.process
def test_settings_of_ones_own_that_change_nothing_are_told(bundle: Path, llem: Llem) -> None:
    done = llem("replicate", bundle, "--prepare", LLEM_EXECUTION_MAX_EXPERIMENTS="50")
    assert done.returncode == 0, done.stderr
    assert "note: settings of your own hold too" in done.stderr
    assert "LLEM_EXECUTION_MAX_EXPERIMENTS" in done.stderr
