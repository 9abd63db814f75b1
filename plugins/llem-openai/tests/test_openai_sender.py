"""Requests that are handed over ahead: they leave at their instant from another process, and at the latest from this one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from llem.errors import LlemError
from llem.specs.backend import Request
from llem_openai.access import Access
from llem_openai.config import OpenaiConfig
from llem_openai.engine import OpenaiEngine
from llem_openai.exchange import Exchange
from llem_openai.sender import Left, Sender, SenderDiedError
from llem_openai.sender_process import ASKED, LEFT, LONGEST, Sending
from llem_plugin_kit.processes import is_alive

sys.path.insert(0, str(Path(__file__).parent))
from asking import engine_on
from replay import STREAMS, Behaviour, Replay, replaying

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

REQUEST = Request(id=3, output_tokens=8, prompt="Where do rivers go?", ignore_eos=False)


@pytest.fixture
def sender() -> Iterator[Sender]:
    found = Sender()
    yield found
    found.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(10)
    with ours, theirs:
        yield ours, theirs


def in_ms(ms: float) -> int:
    return time.monotonic_ns() + round(ms * 1e6)


def test_requests_leave_by_their_instants_and_not_by_the_order_of_asking(
    sender: Sender, pair: tuple[socket.socket, socket.socket]
) -> None:
    async def ask() -> list[Left]:
        due = [in_ms(300), in_ms(100), in_ms(-5)]
        waits = [
            sender.send(pair[0].fileno(), t, word) for t, word in zip(due, (b"third", b"second", b"first"), strict=True)
        ]
        found = list(await asyncio.gather(*waits))
        assert all(left.t_ns >= t for left, t in zip(found, due, strict=True))
        return found

    found = asyncio.run(ask())
    assert [left.size for left in found] == [5, 6, 5]
    assert found[2].t_ns < found[1].t_ns < found[0].t_ns
    assert pair[1].recv(100) == b"firstsecondthird"


def test_one_that_is_taken_back_never_leaves(sender: Sender, pair: tuple[socket.socket, socket.socket]) -> None:
    async def ask() -> None:
        first = sender.send(pair[0].fileno(), in_ms(200), b"first")
        second = sender.send(pair[0].fileno(), in_ms(400), b"second")
        first.cancel()
        assert (await second).size == 6

    asyncio.run(ask())
    assert pair[1].recv(100) == b"second"


def test_one_that_was_taken_back_while_the_process_was_held_up_never_leaves(
    sender: Sender, pair: tuple[socket.socket, socket.socket]
) -> None:
    async def ask() -> None:
        sender._process.send_signal(signal.SIGSTOP)
        first = sender.send(pair[0].fileno(), in_ms(20), b"first")
        await asyncio.sleep(0.05)
        first.cancel()
        await asyncio.sleep(0.05)
        sender._process.send_signal(signal.SIGCONT)
        assert (await sender.send(pair[0].fileno(), 0, b"second")).size == 6

    asyncio.run(ask())
    assert pair[1].recv(100) == b"second"


def test_what_cannot_be_said_while_the_process_is_held_up_is_said_after_it(
    sender: Sender, pair: tuple[socket.socket, socket.socket]
) -> None:
    async def ask() -> None:
        sender._process.send_signal(signal.SIGSTOP)
        due_ns, waits = in_ms(1500), list[asyncio.Future[Left]]()
        with contextlib.suppress(BlockingIOError):
            while len(waits) < 100_000:
                waits.append(sender.send(pair[0].fileno(), due_ns, b"never"))
        assert 10 < len(waits) < 100_000
        for one in waits:
            one.cancel()
        await asyncio.sleep(0.05)
        sender._process.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.3)
        assert (await sender.send(pair[0].fileno(), due_ns + 1, b"last")).size == 4

    asyncio.run(ask())
    assert pair[1].recv(100) == b"last"


def test_it_tells_how_much_a_socket_took_and_when_it_took_nothing(
    sender: Sender, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    async def ask() -> tuple[Left, Left]:
        part = await sender.send(ours.fileno(), 0, b"x" * LONGEST)
        theirs.close()
        return part, await sender.send(ours.fileno(), 0, b"x")

    part, none = asyncio.run(ask())
    assert 0 < part.size < LONGEST
    assert none.size < 0


def test_what_is_too_long_is_not_handed_over(sender: Sender, pair: tuple[socket.socket, socket.socket]) -> None:
    async def ask() -> None:
        with pytest.raises(OSError, match="that long"):
            sender.send(pair[0].fileno(), 0, b"x" * (LONGEST + 1))

    asyncio.run(ask())


def test_who_waits_for_a_sender_that_was_killed_is_told(
    sender: Sender, pair: tuple[socket.socket, socket.socket]
) -> None:
    async def ask() -> None:
        waiting = sender.send(pair[0].fileno(), in_ms(60_000), b"never")
        sender._process.kill()
        with pytest.raises(SenderDiedError, match="the process that sends requests died, by SIGKILL"):
            await waiting
        assert sender.ending == "by SIGKILL"
        with pytest.raises(OSError):  # noqa: PT011 - which one depends on how far its end has come
            sender.send(pair[0].fileno(), 0, b"nor this")

    asyncio.run(ask())


def test_a_request_whose_socket_cannot_be_taken_is_given_back() -> None:
    line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sending = threading.Thread(target=Sending(theirs).run)
    sending.start()
    try:
        assert LEFT.unpack(line.recv(100)) == (0, 0, 0)
        line.send(ASKED.pack(7, in_ms(60_000)) + b"a request")
        assert LEFT.unpack(line.recv(100)) == (7, 0, 0)
    finally:
        line.close()
        sending.join()
        theirs.close()


def test_it_ends_with_whoever_asks_it_however_that_ends() -> None:
    program = "import sys, time; from llem_openai.sender import Sender; print(Sender()._process.pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        pid = int(asking.stdout.readline())
        asking.kill()
    end = time.monotonic() + 30
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_alive(pid)


def test_it_ends_when_it_is_closed_and_harmlessly_twice() -> None:
    one = Sender()
    one.close()
    one.close()
    assert one._process.returncode == 0


def sender_of(engine: OpenaiEngine) -> Sender:
    assert engine._client is not None
    sender = engine._client._exchange._sender
    assert sender is not None
    return sender


def streamed_at(
    engine: OpenaiEngine, due_ns: int, meanwhile: Callable[[], None] | None = None
) -> tuple[Any, list[int]]:
    """The record of a request that leaves at an instant, and when it is said to have left."""
    told: list[int] = []

    async def ask() -> Any:
        assert engine.prepare_ahead()
        if meanwhile is not None:
            asyncio.get_running_loop().call_later(0.1, meanwhile)
        events = [event async for event in engine.stream_at(REQUEST, due_ns, told.append)]
        return events[-1].record

    return asyncio.run(ask()), told


def answering(arrived: list[int], bodies: list[Mapping[str, Any]]) -> Behaviour:
    def handle(replay: Replay, body: Mapping[str, Any]) -> None:
        arrived.append(time.monotonic_ns())
        bodies.append(body)
        replay.begin("text/event-stream")
        replay.send(STREAMS["tgi"])

    return Behaviour(handle={"it": handle})


def kept(replay: Replay) -> None:
    """Answer, and keep the connection."""
    replay.send_response(200)
    replay.send_header("Content-Type", "text/event-stream")
    replay.send_header("Transfer-Encoding", "chunked")
    replay.end_headers()
    replay.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(STREAMS["tgi"]), STREAMS["tgi"]))


@pytest.mark.parametrize("killed", [None, "before it is asked"])
def test_an_answer_is_the_same_and_the_request_leaves_when_it_is_due(killed: str | None) -> None:
    arrived: list[int] = []
    bodies: list[Mapping[str, Any]] = []
    with replaying(answering(arrived, bodies)) as base, engine_on(f"{base}/it/v1") as (engine, _):
        engine.prepare_ahead()
        sender = sender_of(engine)
        if killed == "before it is asked":
            sender._process.kill()
            sender._process.wait()
        due_ns = in_ms(400)
        record, told = streamed_at(engine, due_ns)
        assert record.output_tokens == 8
        assert record.start_ns >= due_ns
        assert told == [record.start_ns]
        assert arrived[-1] >= due_ns
        assert json.loads(json.dumps(bodies[-1]))["prompt"] == REQUEST.prompt
        assert record.token_ns is None or record.token_ns[0] >= due_ns


def test_a_request_whose_sender_dies_is_an_error_and_is_never_sent_again() -> None:
    arrived: list[int] = []
    with replaying(answering(arrived, [])) as base, engine_on(f"{base}/it/v1") as (engine, _):
        engine.prepare_ahead()
        engine.caveats()
        sender = sender_of(engine)
        before = len(arrived)
        with pytest.raises(
            SenderDiedError, match="died, by SIGKILL, before it said whether this one had left: it is not sent"
        ):
            streamed_at(engine, in_ms(300), sender._process.kill)
        time.sleep(0.4)
        assert len(arrived) == before
        (caveat,) = engine.caveats()
        assert (caveat.code, "1 requests that it had ended with an error" in caveat.message) == ("sender_died", True)
        record, _ = streamed_at(engine, in_ms(50))  # by the loop
        assert record.output_tokens == 8
        assert not engine.caveats()
        assert len(arrived) == before + 1


def test_an_answer_whose_sender_is_killed_after_it_left_is_heard_to_its_end() -> None:
    senders: list[Sender] = []

    def handle(replay: Replay, _: Mapping[str, Any]) -> None:
        replay.begin("text/event-stream")
        replay.send(STREAMS["tgi"][:200])
        for sender in senders:
            sender._process.kill()
            sender._process.wait()
        replay.send(STREAMS["tgi"][200:])

    with replaying(Behaviour(handle={"it": handle})) as base, engine_on(f"{base}/it/v1") as (engine, _):
        engine.prepare_ahead()
        sender = sender_of(engine)
        senders.append(sender)
        due_ns = in_ms(100)
        record, told = streamed_at(engine, due_ns)
        assert record.output_tokens == 8
        assert told[-1] == record.start_ns >= due_ns


def test_a_sender_that_is_held_up_is_told_and_not_waited_for_for_ever() -> None:
    arrived: list[int] = []
    with (
        replaying(answering(arrived, [])) as base,
        engine_on(f"{base}/it/v1", {"timeout_s": 0.5}) as (engine, _),
    ):
        engine.prepare_ahead()
        sender = sender_of(engine)
        sender._process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(LlemError, match=r"requests has not said for 0\.5 s that this one left"):
                streamed_at(engine, in_ms(100))
        finally:
            sender._process.send_signal(signal.SIGCONT)


def test_a_request_that_is_given_up_before_it_is_due_never_leaves() -> None:
    arrived: list[int] = []
    with replaying(answering(arrived, [])) as base, engine_on(f"{base}/it/v1") as (engine, _):
        before, told = len(arrived), list[int]()

        async def hear() -> None:
            async for _ in engine.stream_at(REQUEST, in_ms(400), told.append):
                raise AssertionError("it was answered")

        async def ask() -> None:
            assert engine.prepare_ahead()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(hear(), 0.1)
            await asyncio.sleep(0.5)

        asyncio.run(ask())
        assert (len(arrived), told) == (before, [])


def test_a_sender_that_does_not_begin_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with replaying(answering([], [])) as base, engine_on(f"{base}/it/v1") as (engine, _):
        monkeypatch.setattr(sys, "executable", "/no/such/python")
        assert not engine.prepare_ahead()
        (caveat,) = engine.caveats()
        assert caveat.code == "sender_missing"
        assert "did not begin (No such file or directory)" in caveat.message
        assert not engine.caveats()


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_request_whose_kept_connection_had_ended_leaves_once_there_is_another(comes_back: bool) -> None:
    asked: list[int] = []

    def handle(replay: Replay, _: Mapping[str, Any]) -> None:
        asked.append(replay.client_address[1])
        if len(asked) != 3:
            kept(replay)
            return
        time.sleep(0.3)  # it has said by then that the request left
        if not comes_back:
            replay.server.socket.shutdown(socket.SHUT_RDWR)
        replay.close_connection = True

    told: list[int] = []

    async def ask(engine: OpenaiEngine) -> Any:
        assert [event async for event in engine.stream(REQUEST)]
        assert engine.prepare_ahead()
        return [event async for event in engine.stream_at(REQUEST, in_ms(100), told.append)][-1].record

    with replaying(Behaviour(handle={"it": handle})) as base, engine_on(f"{base}/it/v1") as (engine, _):
        if comes_back:
            record = asyncio.run(ask(engine))
            assert len(told) == 2
            assert told[-1] == record.start_ns
            assert record.token_ns is None or record.token_ns[0] >= told[-1]
        else:
            with pytest.raises(LlemError, match="does not answer"):
                asyncio.run(ask(engine))
            assert len(told) == 1, "by the connection that had ended, and by no other"
    assert asked[1] == asked[2]


def test_an_encrypted_connection_has_one_hand_only() -> None:
    exchange = Exchange(Access(OpenaiConfig(base_url="https://127.0.0.1:9/v1"), {}), "small", {})
    assert not exchange.prepare_ahead()
    exchange.close()
