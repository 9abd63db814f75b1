"""A container that means harm: links, huge and odd files, another's identity, events that lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.docker


def refused(ran: Any) -> str:
    failure = ran.result["failure"]
    assert ran.result["status"] == "failed"
    message: str = failure["message"]
    assert "refused" in message, message
    return message


@pytest.mark.parametrize("name", ["result.json", "timeseries.parquet", "events.jsonl", "readings.jsonl"])
def test_a_link_is_never_followed(
    hostile: Callable[[str, str], str], llem_run: Callable[..., Any], tmp_path: Path, name: str
) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text(
        json.dumps({"event": "message", "t_ns": 1, "level": "info", "text": "the host's own words"}) + "\n"
    )
    program = f"""
(job / {name!r}).symlink_to({str(secret)!r})
time.sleep(1)
"""
    ran = llem_run(hostile(f"link-{name.replace('.', '-')}", program))
    if name != "events.jsonl":
        assert f"{name} is a symbolic link" in refused(ran)
    assert "the host's own words" not in ran.stderr
    for path in ran.job.iterdir():
        assert not path.is_symlink()
        assert "the host's own words" not in path.read_text()


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("os.mkfifo(job / 'result.json')", "is a pipe"),
        ("(job / 'result.json').mkdir()", "is a folder"),
        (
            "(job / 'result.json').write_text(json.dumps(result)); os.link(job / 'result.json', job / 'b')",
            "has a second name",
        ),
        ("os.truncate(os.open(job / 'result.json', os.O_CREAT | os.O_RDWR), 10 * 2**30)", "larger than 64 MiB"),
        ("(job / 'result.json').write_text('[' * 100000)", "is not JSON"),
        ("(job / 'timeseries.parquet').write_text('PAR1 and no more')", "is no table"),
    ],
)
def test_an_odd_file_is_refused_by_what_it_is(
    hostile: Callable[[str, str], str], llem_run: Callable[..., Any], how: str, says: str
) -> None:
    ran = llem_run(
        hostile(f"odd-{abs(hash(how)) % 10**8}", how + "\n"), environ={"LLEM_RUNNER_OPTIONS_DOCKER_OUTPUT": "20g"}
    )
    assert says in refused(ran)


@pytest.mark.parametrize(
    ("key", "value"), [("config_hash", "f" * 64), ("study", "another"), ("cycle", 7), ("position", 7)]
)
def test_a_result_of_another_experiment_is_refused(
    hostile: Callable[[str, str], str], llem_run: Callable[..., Any], key: str, value: object
) -> None:
    program = f"""
result["identity"][{key!r}] = {value!r}
(job / "result.json").write_text(json.dumps(result))
"""
    ran = llem_run(hostile(f"another-{key.replace('_', '-')}", program))
    assert f"its {key} is not the one that was given" in refused(ran)
    assert (ran.job / "result.invalid.json").exists()


def test_a_result_that_is_not_of_the_schema_is_no_result(
    hostile: Callable[[str, str], str], llem_run: Callable[..., Any]
) -> None:
    program = """
result["energy"] = {"headline": "very little"}
(job / "result.json").write_text(json.dumps(result))
"""
    ran = llem_run(hostile("schema", program))
    assert ran.result["status"] == "failed"
    assert "cannot be used" in ran.result["failure"]["message"]


def test_lying_events_neither_break_the_progress_nor_steer_the_terminal(
    hostile: Callable[[str, str], str], llem_run: Callable[..., Any]
) -> None:
    program = r"""
lines = [
    {"t_ns": 1, "event": "progress", "phase": "window", "done": "many", "total": [], "tokens_per_s": {}, "power_w": "1e999"},
    {"t_ns": 1, "event": "message", "level": "info", "text": "\x1b]0;owned\x07\x1b[2Jhello from inside"},
    {"t_ns": 10**400, "event": "message", "level": "info", "text": "too large a time"},
    {"t_ns": 1, "event": "phase", "name": {"a": 1}, "state": "start"},
    {"t_ns": 1, "event": "own invention"},
    ["no", "object"],
]
with open(job / "events.jsonl", "wb") as out:
    for line in lines:
        out.write(json.dumps(line).encode() + b"\n")
    out.write(b'{"t_ns": 1, "event": "progress", "done": NaN}\n' + b"[" * 100000 + b"\n" + b"\xff\xfe\n" + b"x" * 10**7)
print("\x1b[31mred\x1b[0m \x1b]0;owned\x07words", flush=True)
(job / "result.json").write_text(json.dumps(result))
time.sleep(1)
"""
    ran = llem_run(hostile("liar", program), "-v")
    assert ran.result["status"] == "done"
    assert "hello from inside" in ran.stderr
    assert "\x1b" not in ran.stderr
    assert "too large a time" not in ran.stderr
    assert "red words" in ran.log


def test_a_trap_for_whoever_cleans_up_is_removed_all_the_same(
    hostile: Callable[[str, str], str], llem_run: Callable[..., Any]
) -> None:
    program = """
os.chdir(job)
for _ in range(3000):
    os.mkdir("deep")
    os.chdir("deep")
(job / "locked").mkdir(mode=0)
(job / "outside").symlink_to("/etc")
(job / "result.json").write_text(json.dumps(result))
os.chmod(job / "result.json", 0)
"""
    ran = llem_run(hostile("trap", program))
    assert ran.result["status"] == "done"
    assert not (ran.job / "container").exists()
    assert Path("/etc/passwd").exists()


def test_a_log_without_end_is_cut(hostile: Callable[[str, str], str], llem_run: Callable[..., Any]) -> None:
    program = """
line = "spam " * 1000 + "\\n"
for _ in range(16000):
    sys.stdout.write(line)
(job / "result.json").write_text(json.dumps(result))
"""
    ran = llem_run(hostile("spammer", program))
    assert ran.result["status"] == "done"
    assert (ran.job / "worker.log").stat().st_size < 65 * 2**20
    assert "the log ends here" in ran.log[-200:]
