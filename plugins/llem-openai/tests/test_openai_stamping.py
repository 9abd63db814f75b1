"""Times of arrival by the kernel's stamps, and without them: of what is read at once, read late, and joined by the kernel."""

from __future__ import annotations

import asyncio
import json
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from llem.specs.backend import Request, RequestRecord
from llem_openai import stamping
from llem_openai.chunk import read_chunk
from llem_openai.engine import OpenaiEngine
from llem_openai.notes import LateReads
from llem_openai.stamping import LATE_NS, Arrivals, Arrived, have_stamped
from llem_openai.streamed_answer import StreamedAnswer

sys.path.insert(0, str(Path(__file__).parent))
from asking import engine_on
from replay import Behaviour, Replay, replaying

PIECE = b"data: one piece of several\n\n"
ROOM = memoryview(bytearray(64 << 10))


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's socket that is to be stamped, and the server's."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        have_stamped(client)
        server, _ = listening.accept()
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client, server:
            # The kernel begins to stamp a little after it is first asked to.
            stamped = False
            while not stamped:
                server.sendall(b"x")
                stamped = Arrivals(client).look(ROOM)[0].t_ns is not None
                client.recv(1)
            yield client, server


def sent(server: socket.socket, data: bytes = PIECE) -> tuple[int, int]:
    before_ns = time.monotonic_ns()
    server.sendall(data)
    return before_ns, time.monotonic_ns()


def looked(arrivals: Arrivals, client: socket.socket) -> list[Arrived]:
    """The parts of what waits, which is read."""
    found = arrivals.look(ROOM)
    size = sum(one.size for one in found)
    assert len(client.recv(size)) == size
    arrivals.read(size)
    return found


def segments_out(server: socket.socket) -> int:
    """Segments with data that a socket has sent for the first time."""
    info = server.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
    sent, again = struct.unpack_from("@I", info, 156)[0], struct.unpack_from("@I", info, 100)[0]
    assert isinstance(sent, int)
    assert isinstance(again, int)
    return sent - again


def is_then(found: Arrived, span_ns: tuple[int, int]) -> bool:
    # The two clocks are read within 20 us of each other.
    return found.t_ns is not None and span_ns[0] - 100_000 <= found.t_ns <= span_ns[1] + 100_000_000


def test_bytes_that_are_read_late_have_the_time_at_which_they_came(ends: tuple[socket.socket, socket.socket]) -> None:
    client, server = ends
    arrivals = Arrivals(client)
    span_ns = sent(server)
    time.sleep(0.3)
    (found,) = looked(arrivals, client)
    assert (found.size, found.unstamped) == (len(PIECE), 0)
    assert is_then(found, span_ns)


@pytest.mark.parametrize("gap_s", [0.002, 0.02])
@pytest.mark.parametrize("asked", [True, False])
def test_each_piece_that_is_read_late_has_its_own_time_or_is_counted_as_joined(
    ends: tuple[socket.socket, socket.socket], gap_s: float, asked: bool
) -> None:
    client, server = ends
    arrivals = Arrivals(client)
    if asked:  # the kernel keeps apart what it has not acknowledged, and that later where a request was just sent
        client.sendall(b"a request")
    spans_ns, before = [], segments_out(server)
    for _ in range(20):
        spans_ns.append(sent(server))
        time.sleep(gap_s)
    found = looked(arrivals, client)
    assert len(found) > 1
    while sum(one.size for one in found) < 20 * len(PIECE):  # the kernel sends no more than so many without an answer
        select.select([client], [], [])
        found += looked(arrivals, client)
    # A busy kernel joins some before it sends them: those came together.
    assert segments_out(server) - before <= len(found) + sum(one.unstamped for one in found) <= 20
    end = 0
    for one in found:
        end += one.size
        assert end % len(PIECE) == 0
        assert is_then(one, spans_ns[end // len(PIECE) - 1])
    assert end == 20 * len(PIECE)
    assert all(a.t_ns < b.t_ns for a, b in pairwise(found) if a.t_ns is not None and b.t_ns is not None)


def test_what_a_server_sends_at_once_is_one_arrival_however_late_it_is_read(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    client, server = ends
    arrivals = Arrivals(client)
    for _ in range(3):
        span_ns = sent(server, PIECE * 9)
        time.sleep(0.05)
        (found,) = looked(arrivals, client)
        assert found.unstamped == 0
        assert is_then(found, span_ns)


def test_a_reader_that_is_there_sees_each_piece_by_itself(ends: tuple[socket.socket, socket.socket]) -> None:
    client, server = ends
    arrivals = Arrivals(client)
    for _ in range(200):
        span_ns = sent(server)
        select.select([client], [], [])
        (found,) = looked(arrivals, client)
        assert found.unstamped == 0
        assert is_then(found, span_ns)


def test_a_wall_clock_that_was_set_is_not_believed(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, server = ends
    sent(server)
    for off_ns in (-3600 * 10**9, 3600 * 10**9):
        real = time.time_ns
        with monkeypatch.context() as patched:
            patched.setattr(stamping.time, "time_ns", lambda real=real, off_ns=off_ns: real() + off_ns)
            assert Arrivals(client).look(ROOM) == [Arrived(len(PIECE), None)]


def test_where_nothing_waits_or_nothing_is_stamped_it_is_not_known(ends: tuple[socket.socket, socket.socket]) -> None:
    client, server = ends
    client.setblocking(False)
    assert Arrivals(client).look(ROOM) == []
    with socket.socketpair()[0] as plain:
        plain.setblocking(False)
        assert Arrivals(plain).look(ROOM) == []
    server.close()
    select.select([client], [], [], 10)
    assert Arrivals(client).look(ROOM) == []


TOKENS = 40
GAP_S = 0.005


def event(number: int) -> bytes:
    end = b"null" if number < TOKENS else b'"length"'
    usage = b'{"prompt_tokens":5,"completion_tokens":%d}' % number
    return b'data: {"choices":[{"index":0,"text":" w","finish_reason":%s}],"usage":%s}\n\n' % (end, usage)


def answered(send: Callable[[Replay, Callable[[], None]], None]) -> tuple[RequestRecord, set[str], Mapping[str, float]]:
    """An answer of `TOKENS` tokens, with the caveats and counts of the engine. From the call of what `send` is given until that
    returns, the loop that reads does nothing."""
    begun, all_sent = threading.Event(), threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    def wait() -> None:
        begun.set()
        all_sent.wait(60)

    def hold_up() -> None:
        loops[0].call_soon_threadsafe(wait)
        begun.wait(60)

    def handle(replay: Replay, body: Mapping[str, Any]) -> None:
        if body["max_tokens"] == TOKENS:
            send(replay, hold_up)
            time.sleep(2 * LATE_NS / 1e9)
            all_sent.set()
        else:
            replay.begin("text/event-stream")
            replay.send(event(body["max_tokens"]).replace(b"null", b'"length"'))

    async def ask(engine: OpenaiEngine) -> RequestRecord:
        loops.append(asyncio.get_running_loop())
        request = Request(id=0, output_tokens=TOKENS, prompt="Where do rivers go?", ignore_eos=False)
        events = [event async for event in engine.stream(request)]
        assert events[-1].record is not None
        return events[-1].record

    with replaying(Behaviour(handle={"it": handle})) as base, engine_on(f"{base}/it/v1") as (engine, _):
        engine.metrics(reset=True)
        engine.caveats()
        record = asyncio.run(ask(engine))
        return record, {caveat.code for caveat in engine.caveats()}, engine.metrics()


def test_an_answer_that_is_read_late_says_how_many_pieces_have_no_time_of_their_own() -> None:
    sent_ns: list[int] = []
    segments: list[int] = []

    def send(replay: Replay, hold_up: Callable[[], None]) -> None:
        replay.begin("text/event-stream")
        before = segments_out(replay.connection)
        for number in range(1, TOKENS + 1):
            if number == 5:
                hold_up()
            sent_ns.append(time.monotonic_ns())
            replay.send(event(number))
            time.sleep(GAP_S)
        segments.append(segments_out(replay.connection) - before)

    record, codes, metrics = answered(send)
    assert record.token_ns is not None
    assert len(record.token_ns) == TOKENS
    late = metrics["pieces_read_late"]
    assert codes == {"pieces_read_late"}
    assert metrics["pieces"] == TOKENS
    # A busy kernel joins some before it sends them: those came together.
    assert late > 0
    assert segments[0] <= late + len(set(record.token_ns)) <= TOKENS
    # The kernel's stamp is never from before it was sent, and of those that it joined the last has its own.
    off_ns = [seen_ns - one_ns for seen_ns, one_ns in zip(record.token_ns, sent_ns, strict=True)]
    assert min(off_ns) >= -1_000_000
    assert off_ns[-1] < max(off_ns)


@pytest.mark.parametrize("held_up", ["before the head", "after the head"])
def test_a_server_that_sends_several_tokens_at_once_is_not_called_read_late(held_up: str) -> None:
    def send(replay: Replay, hold_up: Callable[[], None]) -> None:
        if held_up == "before the head":
            hold_up()
        replay.begin("text/event-stream")
        if held_up == "after the head":
            hold_up()
        time.sleep(GAP_S)
        replay.send(b"".join(event(number) for number in range(1, TOKENS + 1)))

    record, codes, metrics = answered(send)
    assert record.token_ns is not None
    assert len(set(record.token_ns)) == 1
    assert (codes, "pieces_read_late" in metrics) == (set(), False)


def test_a_few_late_pieces_among_many_qualify_nothing() -> None:
    def told(late: int) -> set[str]:
        notes = LateReads()
        for _ in range(5):
            answer = StreamedAnswer(Request(id=0, output_tokens=TOKENS, prompt="a", ignore_eos=False), 0)
            answer.chunks = [read_chunk(json.loads(event(n)[5:]), 10 * n) for n in range(1, TOKENS + 1)]
            if late:
                answer.chunks[:late] = [one._replace(t_ns=10 * late) for one in answer.chunks[:late]]
                answer.lost[10 * late] = late - 1
                late = 0
            notes.take(answer)
        return {caveat.code for caveat in notes.tell()}

    assert told(0) == told(3) == set()
    assert told(4) == {"pieces_read_late"}


def test_segments_that_may_have_held_no_text_are_no_late_pieces() -> None:
    answer = StreamedAnswer(Request(id=0, output_tokens=4, prompt="a", ignore_eos=False), 0)
    answer.chunks = [read_chunk(json.loads(event(n)[5:]), 9) for n in (1, 2, 3, 4)]
    answer.chunks.append(read_chunk({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 4}}, 9))
    answer.closed, answer.closed_ns = True, 9
    for segments, late in ((3, 0), (4, 1), (6, 3), (60, 3)):
        answer.lost.clear()
        answer.lost[9] = segments
        assert answer.late == late


def test_a_segment_that_was_sent_twice_makes_no_late_piece_of_what_came_at_once() -> None:
    answer = StreamedAnswer(Request(id=0, output_tokens=TOKENS, prompt="a", ignore_eos=False), 0)
    answer.chunks = [read_chunk(json.loads(event(n)[5:]), 9) for n in range(1, TOKENS + 1)]
    for segments, late in ((1, 0), (4, 3), (TOKENS - 1, TOKENS - 1)):
        answer.lost.clear()
        answer.lost[9] = segments
        assert answer.late == late
