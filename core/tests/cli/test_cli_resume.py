"""`llem resume`: a study goes on from whatever state it is in, and says what it found."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from plain_environment import plain_environment

import llem as library
from llem.study.lock import Lock
from llem.study.manifest.manifest import PREVIOUS, recover
from llem.study.manifest.writer import ManifestWriter
from llem.study.record import RECORD
from llem.study.resume.set_aside import SET_ASIDE

pytestmark = pytest.mark.process

Llem = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def document(quick: Mapping[str, Any]) -> dict[str, Any]:
    """A study of two experiments that will be done and one that will fail."""
    experiments = [{"testbed": {"batch_size": 1}}, {"testbed": {"batch_size": 2}}, {"testbed": {"fail": "raise"}}]
    return {**quick, "experiments": experiments}


@pytest.fixture(scope="module")
def once(document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That study, run to its end; in the folder of its study file."""
    folder = tmp_path_factory.mktemp("once")
    (folder / "study.yaml").write_text(json.dumps(document, indent=1))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "llem",
            "run",
            "study.yaml",
            "--quiet",
            "--skip-preflight",
            "governor",
            "--skip-preflight",
            "load",
        ],
        cwd=folder,
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "--retry-failed" in done.stdout
    return folder


@pytest.fixture
def ended(once: Path, tmp_path: Path) -> Path:
    """The folder of that study, in a copy of its own."""
    shutil.copytree(once, tmp_path, dirs_exist_ok=True)
    (folder,) = (tmp_path / "results").iterdir()
    record = json.loads((folder / RECORD).read_text())
    record["path"] = str(tmp_path / "study.yaml")
    record["base_dir"] = str(tmp_path)
    (folder / RECORD).write_text(json.dumps(record))
    return folder


def jobs(folder: Path) -> dict[str, str]:
    """Digest of each job directory's result, by the directory's name."""
    found = sorted((folder / "experiments").iterdir())
    return {job.name: hashlib.sha256((job / "result.json").read_bytes()).hexdigest() for job in found}


def states(folder: Path) -> list[str]:
    return [entry.state for entry in recover(folder).manifest.experiments]


def test_a_study_without_anything_left_to_run_stays_as_it_is(ended: Path, llem_here: Llem) -> None:
    before = jobs(ended)
    done = llem_here("resume", ended)
    assert done.returncode == 1, done.stderr
    assert "2 of 3 experiments are done, checked and kept" in done.stderr
    assert "1 failed and stays so (--retry-failed runs it again)" in done.stderr
    assert "nothing is left to run" in done.stderr
    assert jobs(ended) == before
    assert states(ended) == ["done", "done", "failed"]
    assert not (ended / SET_ASIDE).exists()


def test_failed_ones_run_again_only_where_asked(ended: Path, llem: Llem) -> None:
    before = jobs(ended)
    done = llem("resume", ended, "--retry-failed")
    assert done.returncode == 1, done.stderr
    after = jobs(ended)
    failed = next(name for name in before if name.startswith("00003"))
    assert {name for name in before if after[name] != before[name]} == {failed}
    assert (ended / SET_ASIDE / failed / "result.json").is_file()


def test_what_is_gone_damaged_or_half_done_runs_again(ended: Path, llem: Llem, read: Any) -> None:
    before = jobs(ended)
    first, second, third = sorted(before)
    shutil.rmtree(ended / "experiments" / first)
    text = (ended / "experiments" / second / "result.json").read_text()
    assert '"output": 6' in text
    (ended / "experiments" / second / "result.json").write_text(text.replace('"output": 6', '"output": 7'))
    (ended / "experiments" / third / "result.json").unlink()
    manifest = recover(ended).manifest
    manifest.experiments[2].state = manifest.state = "running"
    manifest.seq += 1
    ManifestWriter(ended, manifest).close()
    shown = llem("show", ended)
    assert "quick, broken off: " in shown.stdout
    assert f"go on: llem resume {ended}" in shown.stdout

    done = llem("resume", ended)
    assert done.returncode == 1, done.stderr
    assert set(jobs(ended)) == set(before)
    assert f"1 result is not there any more ({first}) and will be measured again" in done.stderr
    assert f"{second}/result.json: it is not the file that the experiment left" in done.stderr
    assert "1 under way when it ended runs again" in done.stderr
    assert states(ended) == ["done", "done", "failed"]
    assert {path.name for path in (ended / SET_ASIDE).iterdir()} == {second, third}
    assert [row["tokens.output"] for row in read.rows(ended)] == [6, 6, None]


def test_more_cycles_are_added_behind_what_is_there(ended: Path, llem: Llem, read: Any) -> None:
    before = jobs(ended)
    done = llem("resume", ended, "--cycles", "2")
    assert done.returncode == 1, done.stderr
    assert {name: digest for name, digest in jobs(ended).items() if name in before} == before
    assert [(row["cycle"], row["position"]) for row in read.rows(ended)] == [(1 + n // 3, 1 + n) for n in range(6)]
    fewer = llem("resume", ended, "--cycles", "1")
    assert fewer.returncode == 2
    assert "cycles: was 2, is 1" in fewer.stderr
    assert "3 would be dropped" in fewer.stderr
    record = json.loads((ended / RECORD).read_text())
    assert record["document"]["execution"]["cycles"] == 2


@pytest.mark.parametrize("command", [("resume",), ("run", "--resume")])
def test_pauses_can_be_left_out_of_what_still_runs_without_calling_that_a_change(
    ended: Path, llem: Llem, command: tuple[str, ...]
) -> None:
    path = ended / RECORD
    record = json.loads(path.read_text())
    record["document"]["execution"] |= {"experiment_gap_s": 600, "cycle_gap_s": 600}
    path.write_text(json.dumps(record))
    (ended.parent.parent / "study.yaml").write_text(record["text"])
    done = llem(*command, ended, "--retry-failed", "--cycles", "2", "--no-gaps")
    assert done.returncode == 1, done.stderr
    assert "pause of" not in done.stderr
    assert states(ended) == ["done", "done", "failed"] * 2
    execution = json.loads(path.read_text())["document"]["execution"]
    assert (execution["experiment_gap_s"], execution["cycle_gap_s"]) == (0, 0)


@pytest.mark.parametrize("edited", ["study.yaml", "results"])
def test_a_changed_study_is_shown_and_refused_until_it_is_allowed(
    document: dict[str, Any], ended: Path, llem: Llem, tmp_path: Path, edited: str
) -> None:
    before = jobs(ended)
    path = tmp_path / "study.yaml" if edited == "study.yaml" else ended / "study.yaml"
    changed = {**document, "experiments": [{"testbed": {"batch_size": 2}}, {"testbed": {"batch_size": 4}}]}
    path.write_text(json.dumps(changed))
    refused = llem("resume", ended)
    assert refused.returncode == 2
    assert f"{path}: the study differs from the one that was started" in refused.stderr
    assert "experiments: was [" in refused.stderr
    assert "1 of 3 stay (1 have ended), 2 would be dropped (2 have ended" in refused.stderr
    assert "--allow-changes" in refused.stderr
    assert jobs(ended) == before

    assert "`llem resume --as-started`" in refused.stderr

    assert llem("resume", ended, "--as-started").returncode == 1
    assert jobs(ended) == before
    assert path.read_text() == json.dumps(changed)

    done = llem("resume", ended, "--allow-changes")
    assert done.returncode == 0, done.stderr
    assert states(ended) == ["dropped", "done", "dropped", "done"]
    after = jobs(ended)
    assert len(after) == 2
    assert {name for name in before if after.get(name) == before[name]} == {sorted(before)[1]}
    assert (ended / SET_ASIDE / "study.yaml").read_text() == json.dumps(document, indent=1)
    assert json.loads((ended / "study.yaml").read_text()) == changed


def test_a_file_that_says_the_same_in_other_words_is_no_change(
    document: dict[str, Any], ended: Path, llem_here: Llem, tmp_path: Path
) -> None:
    (tmp_path / "study.yaml").write_text("# measured twice\n" + json.dumps(document))
    done = llem_here("resume", ended)
    assert done.returncode == 1
    assert "what it says is the same" in done.stderr


def test_run_takes_up_a_study_with_the_file_and_options_of_now(ended: Path, llem_here: Llem) -> None:
    before = jobs(ended)
    same = llem_here("run", "study.yaml", "--resume", ended)
    assert same.returncode == 1, same.stderr
    assert jobs(ended) == before
    other = llem_here("run", "study.yaml", "--resume", ended, "-n", "3")
    assert other.returncode == 2
    assert "dataset.n: was 2, is 3" in other.stderr
    assert "3 would be dropped" in other.stderr
    without = llem_here("run", "--resume", ended)
    assert without.returncode == 1
    assert "nothing is left to run" in without.stderr


def test_a_study_whose_manifest_is_destroyed_is_made_up_from_its_results(ended: Path, llem_here: Llem) -> None:
    before = jobs(ended)
    (ended / "manifest.json").write_bytes(b"\0" * 100)
    (ended / PREVIOUS).unlink()
    shown = llem_here("show", ended)
    assert shown.returncode == 0
    assert "damaged" in shown.stdout
    assert f"llem resume {ended}" in shown.stdout
    done = llem_here("resume", ended)
    assert done.returncode == 1, done.stderr
    assert "made anew" in done.stderr
    assert jobs(ended) == before
    assert states(ended) == ["done", "done", "failed"]


def test_a_study_whose_record_is_destroyed_needs_its_file(
    document: dict[str, Any], ended: Path, llem_here: Llem
) -> None:
    before = jobs(ended)
    (ended / RECORD).write_text("{")
    refused = llem_here("resume", ended)
    assert refused.returncode == 2
    assert f"llem run STUDY.yaml --resume {ended}" in refused.stderr
    assert llem_here("run", "study.yaml", "--resume", ended).returncode == 1
    assert jobs(ended) == before
    assert json.loads((ended / RECORD).read_text())["text"] == json.dumps(document, indent=1)


def test_another_machine_is_told(ended: Path, llem: Llem) -> None:
    record = json.loads((ended / RECORD).read_text())
    record["hosts"][0] |= {"host": "elsewhere", "gpus": ["NVIDIA A100 (GPU-1)"]}
    record["hosts"][0]["packages"]["llem"] = "0.0.1"
    (ended / RECORD).write_text(json.dumps(record))
    done = llem("resume", ended, "--retry-failed")
    assert "host: was elsewhere, is " in done.stderr
    assert "GPUs: was NVIDIA A100 (GPU-1), is " in done.stderr
    assert "llem: was 0.0.1, is " in done.stderr
    assert len(json.loads((ended / RECORD).read_text())["hosts"]) == 2


def test_a_study_that_another_llem_works_on_is_left_alone(ended: Path, llem: Llem) -> None:
    with Lock(ended):
        refused = llem("resume", ended)
    assert refused.returncode == 3
    assert f"another llem works on this study (process {os.getpid()} on " in refused.stderr


def test_what_is_no_study_is_told_with_what_was_meant(ended: Path, llem_here: Llem, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path, said in [
        (tmp_path / "nowhere", "there is nothing here"),
        (tmp_path / "empty", "this is no study's folder"),
        (tmp_path / "study.yaml", "this is no study's folder"),
        (ended.parent, f"llem resume {ended}"),
        (next((ended / "experiments").iterdir()), f"llem resume {ended}"),
    ]:
        done = llem_here("resume", path)
        assert done.returncode == 2
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["resume"], "STUDY_DIR"),
        (["resume", "x", "--allow-changes", "--as-started"], "opposite"),
        (["run", "study.yaml", "--retry-failed"], "--resume STUDY_DIR"),
        (["run", "study.yaml", "--resume", "x", "--output", "y"], "its own folder"),
        (["run", "study.yaml", "--resume", "x", "--dry-run"], "--dry-run"),
        (["run", "--resume", "x", "--set", "dataset.n=3"], "llem run STUDY.yaml --resume"),
        (["continue", "x"], "llem resume"),
    ],
)
def test_options_that_do_not_go_together_are_told(llem_here: Llem, arguments: list[str], said: str) -> None:
    done = llem_here(*arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_the_library_goes_on_too(ended: Path) -> None:
    study = library.resume(ended, cycles=2)
    assert study.manifest["totals"]["done"] == 4
    with pytest.raises(library.ConfigError, match="which one is not said"):
        library.resume(ended, overrides={"dataset.n": 3})
    with pytest.raises(library.ConfigError, match=r"dataset\.n: was 2, is 3"):
        library.resume(ended, study=ended / "study.yaml", overrides={"dataset.n": 3}, cycles=2)
