"""The file for Prometheus: written by its own library, read by its own parser, whatever becomes of the disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from llem.errors import ConfigError, PluginError
from llem_notify import plugin
from llem_notify.config import read_config
from llem_notify.textfile import Textfile, folder_of

STARTED = {"name": "my study/ä", "experiments": 3}


def values(path: Path) -> dict[str, float]:
    """Each sample by its name, and its status where it has one."""
    found = {}
    for family in text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            assert sample.labels["study"] == STARTED["name"]
            assert sample.labels["folder"] == "a"
            found[" ".join(filter(None, [sample.name, sample.labels.get("status")]))] = sample.value
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The collector's folder, which a notify.yaml names without any target."""
    monkeypatch.setenv("LLEM_CONFIG_FILE", str(tmp_path / "config.yaml"))
    (tmp_path / "notify.yaml").write_text(json.dumps({"textfile_folder": "collected"}))
    (tmp_path / "collected").mkdir()
    yield tmp_path / "collected"
    plugin._broken_off()


def test_a_study_is_told_from_its_start_to_its_end(folder: Path) -> None:
    plugin.llem_study_started(Path("a"), STARTED)
    for status in ("done", "failed", "done"):
        plugin.llem_experiment_started(Path("a"), Path("a/1"), {})
        plugin.llem_experiment_finished(Path("a"), Path("a/1"), {"status": status})
    plugin.llem_study_finished(Path("a"), {"state": "complete", "done": 2, "failed": 1})
    (file,) = folder.iterdir()
    assert file.name == "llem-my_study__.prom"
    found = values(file)
    changed = found.pop("llem_study_changed_timestamp_seconds")
    assert abs(changed - file.stat().st_mtime) < 600
    assert found == {
        "llem_study_running": 0,
        "llem_study_experiments": 3,
        "llem_study_experiments_ended done": 2,
        "llem_study_experiments_ended failed": 1,
        "llem_study_experiments_ended other": 0,
    }


def test_while_it_runs_the_file_says_so_and_is_always_whole(folder: Path) -> None:
    one = Textfile(folder, str(STARTED["name"]), "a", 3)
    for _ in range(200):
        one.experiment_finished("done")
        if one.path.exists():
            found = values(one.path)
            assert len(found) == 6
            assert found["llem_study_running"] == 1
    assert one.finished(60) is None
    assert values(one.path)["llem_study_experiments_ended done"] == 200
    assert [path.name for path in folder.iterdir()] == [one.path.name]


def test_what_could_not_be_written_is_told_at_the_end(folder: Path) -> None:
    plugin.llem_study_started(Path("a"), STARTED)
    folder.rename(folder.with_name("gone"))
    plugin.llem_experiment_finished(Path("a"), Path("a/1"), {"status": "done"})
    with pytest.raises(plugin.NotDeliveredError, match=r"llem-my_study__\.prom could not be written: No such file"):
        plugin.llem_study_finished(Path("a"), {"state": "complete"})


def test_a_disk_that_hangs_holds_up_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)

    def hangs(_path: str, _registry: object) -> None:
        """Opening a pipe that nobody reads waits for ever, as a server of files that is gone does."""
        with pipe.open("wb"):
            pass

    monkeypatch.setattr("prometheus_client.write_to_textfile", hangs)
    one = Textfile(folder, "hangs", "a", 1)
    one.experiment_finished("done")
    assert "not done in time" in str(one.finished(0.05))
    for _ in range(3):  # let its thread go: it writes once for each change that it finds
        os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))


def test_a_folder_that_is_not_there_or_a_library_that_is_missing_is_found_before_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ("absent", "~nobody-of-this-name/x", "a\0b"):
        with pytest.raises(ConfigError, match="no such folder"):
            folder_of(text, tmp_path)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(PluginError, match=r"llem-notify\[prometheus\]"):
        Textfile(tmp_path, "a", "a", 1)


def test_a_file_that_names_nobody_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notify.yaml").write_text("stalled_after_s: 60")
    with pytest.raises(ConfigError, match="neither targets nor a textfile_folder"):
        read_config(tmp_path / "notify.yaml")


@pytest.mark.process
def test_a_study_that_nobody_ended_runs_no_more(folder: Path) -> None:
    script = (
        f"from pathlib import Path\nfrom llem_notify import plugin\nplugin.llem_study_started(Path('a'), {STARTED!r})"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    assert values(next(folder.iterdir()))["llem_study_running"] == 0
