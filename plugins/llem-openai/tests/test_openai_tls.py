"""A server behind TLS: whole answers, times, and what is said where the connection cannot be made, or is lost."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from llem.errors import LlemError, ModelError
from llem.specs.backend import Request, RequestRecord
from llem_openai.engine import OpenaiEngine

sys.path.insert(0, str(Path(__file__).parent))
from asking import ask, engine_on
from replay import STREAMS, Behaviour, Replay, replaying

SLOW_S = 0.3


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate of 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's server")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    plain = serialization.NoEncryption()
    encoded = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + encoded)
    return file


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def known(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates of this test's server are accepted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


async def streamed(engine: OpenaiEngine, number: int = 0) -> RequestRecord:
    request = Request(id=number, output_tokens=8, prompt="Where do rivers go?", ignore_eos=False)
    events = [event async for event in engine.stream(request)]
    assert events[-1].record is not None
    return events[-1].record


@pytest.mark.usefixtures("known")
def test_answers_over_tls_are_those_without(tls: ssl.SSLContext) -> None:
    async def many(engine: OpenaiEngine) -> list[RequestRecord]:
        return await asyncio.gather(*(streamed(engine, number) for number in range(20)))

    with replaying() as plain, replaying(tls=tls) as encrypted:
        for name in ("vllm", "deepseek", "carriage-returns", "no-blank-lines"):
            found = []
            for base in (plain, encrypted):
                with engine_on(f"{base}/{name}/v1") as (engine, _):
                    record = ask(engine)
                    found.append((record.text, record.output_tokens, record.input_tokens, record.output_token_ids))
                    assert record.token_ns is not None
                    assert record.start_ns < record.token_ns[0] < record.token_ns[-1] <= record.end_ns
            assert found[0] == found[1]
        with engine_on(f"{encrypted}/vllm/v1") as (engine, _):
            records = asyncio.run(many(engine))
        assert [record.id for record in records] == list(range(20))


@pytest.mark.usefixtures("known")
def test_connections_over_tls_are_kept_and_shake_hands_once(tls: ssl.SSLContext) -> None:
    greeted: list[int] = []

    def handle(replay: Replay, _: Mapping[str, Any]) -> None:
        data = STREAMS["tgi"]
        replay.send_response(200)
        replay.send_header("Content-Type", "text/event-stream")
        replay.send_header("Content-Length", str(len(data)))
        replay.end_headers()
        replay.send(data)

    async def several(engine: OpenaiEngine) -> None:
        for number in range(5):
            assert (await streamed(engine, number)).output_tokens == 8

    behaviour = Behaviour(handle={"it": handle}, greet=lambda: greeted.append(1))
    with replaying(behaviour, tls) as base, engine_on(f"{base}/it/v1") as (engine, _):
        before = len(greeted)
        asyncio.run(several(engine))
        assert len(greeted) == before + 1


@pytest.mark.usefixtures("known")
def test_a_slow_handshake_is_in_the_time_to_the_first_token_and_once(tls: ssl.SSLContext) -> None:
    connected_ns: list[int] = []
    sent_ns: list[int] = []

    def greet() -> None:
        connected_ns.append(time.monotonic_ns())
        time.sleep(SLOW_S)

    def handle(replay: Replay, _: Mapping[str, Any]) -> None:
        replay.begin("text/event-stream")
        sent_ns.append(time.monotonic_ns())
        replay.send(STREAMS["vllm"])

    with (
        replaying(Behaviour(handle={"it": handle}, greet=greet), tls) as base,
        engine_on(f"{base}/it/v1") as (engine, _),
    ):
        before_ns = time.monotonic_ns()
        record = asyncio.run(streamed(engine))
        after_ns = time.monotonic_ns()
    assert record.token_ns is not None
    # It begins before it connects, and its first token is there when it is read: no time is added to either.
    assert before_ns <= record.start_ns <= connected_ns[-1]
    assert sent_ns[-1] <= record.token_ns[0] <= record.end_ns <= after_ns
    assert record.token_ns[0] - record.start_ns >= SLOW_S * 1e9


@pytest.mark.usefixtures("known")
def test_a_handshake_that_takes_too_long_is_told_with_its_limit(tls: ssl.SSLContext) -> None:
    slow = [False]

    def greet() -> None:
        if slow[0]:
            time.sleep(1)

    limits = {"connect_timeout_s": SLOW_S}
    with replaying(Behaviour(greet=greet), tls) as base, engine_on(f"{base}/vllm/v1", limits) as (engine, _):
        slow[0] = True
        begin_s = time.monotonic()
        with pytest.raises(ModelError, match=r"no connection within 0\.3 s") as told:
            asyncio.run(streamed(engine))
        assert time.monotonic() - begin_s >= SLOW_S
        assert "openai.connect_timeout_s" in str(told.value)


def test_a_certificate_that_nobody_knows_is_told_with_what_to_do(tls: ssl.SSLContext) -> None:
    with (
        replaying(tls=tls) as base,
        pytest.raises(ModelError, match="certificate is not accepted: self-signed certificate") as told,
        engine_on(f"{base}/vllm/v1"),
    ):
        pass
    assert "SSL_CERT_FILE" in str(told.value)


def test_a_server_without_tls_at_such_an_address_is_told() -> None:
    with (
        replaying() as base,
        pytest.raises(ModelError, match="no TLS can be agreed on with it") as told,
        engine_on(f"{base.replace('http:', 'https:')}/vllm/v1"),
    ):
        pass
    assert "http://" in str(told.value)


def closed(replay: Replay) -> None:
    """As a process that ends: without the word that TLS has for it."""
    replay.connection.shutdown(socket.SHUT_RDWR)


def reset(replay: Replay) -> None:
    replay.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    replay.connection.close()


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("framed", ["by its end", "in chunks"])
@pytest.mark.parametrize("lose", [closed, reset])
def test_an_answer_that_is_cut_off_is_an_error_that_says_how_far_it_came(
    tls: ssl.SSLContext, lose: Callable[[Replay], None], framed: str
) -> None:
    wholes = [True]

    def handle(replay: Replay, _: Mapping[str, Any]) -> None:
        events = STREAMS["tgi"].split(b"\n\n")
        if wholes[0]:
            replay.begin("text/event-stream")
            replay.send(STREAMS["tgi"])
            return
        replay.send_response(200)
        replay.send_header("Content-Type", "text/event-stream")
        if framed == "in chunks":
            replay.send_header("Transfer-Encoding", "chunked")
        replay.end_headers()
        data = b"\n\n".join(events[:4]) + b"\n\n"
        replay.send(b"%x\r\n%s\r\n" % (len(data), data) if framed == "in chunks" else data)
        time.sleep(0.05)
        lose(replay)
        replay.close_connection = True

    with replaying(Behaviour(handle={"it": handle}), tls) as base, engine_on(f"{base}/it/v1") as (engine, _):
        wholes[0] = False
        with pytest.raises(LlemError, match=r"the connection ended in the middle of an answer, after \d+ pieces"):
            asyncio.run(streamed(engine))
        wholes[0] = True
        assert asyncio.run(streamed(engine)).output_tokens == 8
