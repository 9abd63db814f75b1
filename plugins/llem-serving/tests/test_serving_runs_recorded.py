"""Whole experiments under recorded loads: a trace with its lengths and prefixes, and conversations with their turns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from study_run import Serve, codes

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

# Every other prompt begins with the same block and has one of its own.
ROWS = [(70 * n, 600 if n % 2 else 40, 3 + n % 5, [0, 100 + n] if n % 2 else [200 + n]) for n in range(60)]
FAST: dict[str, Any] = {"base_s": 0.002, "request_s": 0.0}


@pytest.fixture
def traced(tmp_path: Path) -> dict[str, Any]:
    """The dataset of a trace beside the study."""
    lines = [json.dumps({"timestamp": t, "input_length": i, "output_length": o, "hash_ids": h}) for t, i, o, h in ROWS]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    return {"name": "trace", "path": "t.jsonl", "n": len(ROWS), "input_tokens": None}


REPLAY: dict[str, Any] = {"rate_rps": None, "arrival": "trace", "duration_s": 2.5, "drain_s": 0.5}


def test_a_trace_is_replayed_with_its_times_lengths_and_prefixes(serve: Serve, traced: dict[str, Any]) -> None:
    ran = serve(dataset=traced, load=REPLAY, loadbed={**FAST, "cache": True}, decoding={"length": "fixed"})
    (result,), (rows,) = ran.results, ran.requests
    assert result["status"] == "done", result["failure"]
    assert len(rows) > 30
    assert [row["id"] for row in rows] == list(range(len(rows)))
    assert [(row["input_tokens"], row["output_tokens"]) for row in rows] == [(i, o) for _, i, o, _ in ROWS[: len(rows)]]
    start_s = rows[0]["arrival_s"]
    assert [round((row["arrival_s"] - start_s) * 1e3) for row in rows] == [t for t, *_ in ROWS[: len(rows)]]
    metrics = result["scenario_metrics"]
    inside = [row for row in rows if row["inside"]]
    shared = 512 * sum(row["input_tokens"] == 600 for row in inside) / sum(row["input_tokens"] for row in inside)
    assert metrics["repeated_input_share"] == pytest.approx(shared, abs=0.001)
    assert metrics["cached_input_share"] == pytest.approx(shared, abs=0.001)
    assert not {"cache_share_differs", "trace_times_alone", "trace_ended"} & codes(result)
    assert "% of prompt tokens repeat" in result["dataset"]["provenance"]


def test_an_engine_without_a_cache_disagrees_with_the_trace(serve: Serve, traced: dict[str, Any]) -> None:
    ran = serve(dataset=traced, load=REPLAY, loadbed={**FAST, "cache": False}, decoding={"length": "fixed"})
    (result,) = ran.results
    assert result["scenario_metrics"]["cached_input_share"] == 0
    assert "cache_share_differs" in codes(result)


CHATS = [[("user", f"one {n}"), ("assistant", "the recorded answer"), ("user", "and then"), ("assistant", "that"), ("user", "why")]
         for n in range(30)]  # fmt: skip


@pytest.fixture
def talked(tmp_path: Path) -> dict[str, Any]:
    """The sections of a study of conversations, which stand beside it: ShareGPT's form, three turns each."""
    # Chats need a chat template, and that a tokenizer, which this backend never looks at.
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "tokenizer.json").write_text("{}")
    speaker = {"user": "human", "assistant": "gpt"}
    records = [{"conversations": [{"from": speaker[who], "value": what} for who, what in said]} for said in CHATS]
    (tmp_path / "c.json").write_text(json.dumps(records))
    return {
        "model": {"source": "random:tiny-llama", "tokenizer": "./tokenizer"},
        "dataset": {"name": "conversations", "path": "c.json", "n": 90, "input_tokens": None, "output_tokens": 4},
    }


@pytest.mark.parametrize(
    ("answers", "source"), [("recorded", {"rate_rps": 8}), ("own", {"rate_rps": None, "concurrency": 2})]
)
def test_conversations_go_on_and_a_cache_has_what_was_said(
    serve: Serve, talked: dict[str, Any], source: dict[str, Any], answers: str
) -> None:
    load = {**source, "answers": answers, "think_s": 0.03, "duration_s": 2}
    ran = serve(**talked, load=load, loadbed={**FAST, "cache": True}, decoding={"length": "fixed"})
    (result,), (rows,) = ran.results, ran.requests
    assert result["status"] == "done", result["failure"]
    turns: dict[int, list[dict[str, Any]]] = {}
    for row in rows[:60]:
        turns.setdefault(row["id"] // 3, []).append(row)
    whole = [sorted(session, key=lambda row: row["id"]) for session in turns.values() if len(session) == 3]
    assert len(whole) > 3
    # A word for each of its own tokens: the recorded answers have three words and one, the own ones four.
    later = 5 + (4 if answers == "own" else 3) + 1 + 2
    last = later + (4 if answers == "own" else 1) + 1 + 1
    for first, second, third in whole:
        assert [row["input_tokens"] for row in (first, second, third)] == [3, later - 2, last - 2]
        assert second["arrival_s"] >= first["end_s"] + 0.029
        assert third["arrival_s"] >= second["end_s"] + 0.029
    metrics = result["scenario_metrics"]
    assert metrics["cached_input_share"] > 0.3
    assert metrics["repeated_input_share"] == pytest.approx(metrics["cached_input_share"], abs=0.12)
    assert "cache_share_differs" not in codes(result)


def test_conversations_cannot_go_on_with_answers_that_nobody_tells(serve: Serve, talked: dict[str, Any]) -> None:
    ran = serve(**talked, load={"answers": "own"}, loadbed={**FAST, "text": False})
    (result,) = ran.results
    assert result["status"] == "failed"
    assert "load.answers: recorded" in result["failure"]["message"]
