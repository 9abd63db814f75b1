"""One try to deliver a message, to a real server: what reaches it, and what each kind of answer means."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from llem_notify.delivery import ByApprise, NotDeliveredError, Webhook, signature
from llem_notify.messages import Message, Study, started
from llem_notify.messages import test as trial

SECRET = "whsec_" + base64.b64encode(b"a key of thirty-two bytes, exact").decode()


def way(address: str, **changes: Any) -> Webhook:
    return Webhook(**{"address": address, "key": None, "timeout_s": 2.0, **changes})


def test_a_message_comes_as_json(receiver):
    message = started(Study(name="ü", folder="ü-1", experiments=3))
    way(receiver.address).deliver(message)
    (one,) = receiver.posted
    assert one.headers["Content-Type"] == "application/json"
    assert one.headers["webhook-id"] == message.id
    assert "webhook-signature" not in one.headers
    assert Message.model_validate_json(one.body) == message
    assert one.message["text"] == "ü has started: 3 experiments."
    assert (
        started(Study(name="ü", folder="ü-1", experiments=3, at_most=True)).text
        == "ü has started: up to 3 experiments."
    )


@pytest.mark.parametrize("key", [SECRET, "any text"])
def test_a_signature_is_what_another_library_accepts(receiver, key):
    way(receiver.address, key=key).deliver(trial())
    (one,) = receiver.posted
    secret = key if key.startswith("whsec_") else base64.b64encode(key.encode()).decode()
    assert Verifier(secret).verify(one.body, dict(one.headers))["event"] == "test"
    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify(one.body.replace(b"test", b"tests"), dict(one.headers))


def test_the_signature_covers_identity_and_time():
    found = {signature("a", 1, b"x", "k")["webhook-signature"], signature("b", 1, b"x", "k")["webhook-signature"]}
    found |= {signature("a", 2, b"x", "k")["webhook-signature"], signature("a", 1, b"y", "k")["webhook-signature"]}
    assert len(found) == 4


@pytest.mark.parametrize(
    ("code", "final"),
    [
        (301, True),
        (400, True),
        (404, True),
        (410, True),
        (501, True),
        (408, False),
        (425, False),
        (429, False),
        (500, False),
        (502, False),
        (503, False),
        (504, False),
    ],
)
def test_an_answer_tells_whether_to_try_again(receiver, code, final):
    receiver.answers = [code]
    with pytest.raises(NotDeliveredError, match=str(code)) as caught:
        way(receiver.address).deliver(trial())
    assert caught.value.final is final


@pytest.mark.parametrize(("asked", "after_s"), [("7", 7.0), ("100000", 60.0), ("-1", None), ("soon", None), ("", None)])
def test_a_receiver_may_ask_for_a_pause_within_bounds(receiver, asked, after_s):
    receiver.answers, receiver.headers = [503], {"Retry-After": asked}
    with pytest.raises(NotDeliveredError) as caught:
        way(receiver.address).deliver(trial())
    assert caught.value.after_s == after_s


def test_a_redirection_is_not_followed(receiver):
    receiver.answers, receiver.headers = [307], {"Location": receiver.address + "/elsewhere"}
    with pytest.raises(NotDeliveredError):
        way(receiver.address).deliver(trial())
    assert [one.path for one in receiver.posted] == ["/hook"]


def test_an_answer_without_an_end_is_not_listened_to(receiver):
    receiver.drips = True
    begin = time.monotonic()
    way(receiver.address, timeout_s=40).deliver(trial())
    assert time.monotonic() - begin < 20


def test_a_pause_may_be_asked_for_as_a_date(receiver):
    at = datetime.now(UTC) + timedelta(seconds=40)
    receiver.answers = [503, 503]
    for asked, least, most in ((format_datetime(at, usegmt=True), 20, 40), ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0)):
        receiver.headers = {"Retry-After": asked}
        with pytest.raises(NotDeliveredError) as caught:
            way(receiver.address).deliver(trial())
        assert caught.value.after_s is not None
        assert least <= caught.value.after_s <= most


@pytest.mark.parametrize(
    ("scheme", "first", "then"),
    [
        ("http", b"HTTP/1.1 ", b"2"),
        ("http", b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("https", b"\x16\x03\x03\x40\x00", b"\x02"),
    ],
    ids=["a status by the byte", "continue for ever", "a handshake by the byte"],
)
def test_an_answer_that_never_comes_to_its_point_is_cut_off(scheme, first, then):
    over = threading.Event()

    def drip(server: socket.socket) -> None:
        with server.accept()[0] as one, suppress(OSError):
            one.sendall(first)
            while not over.wait(0.05):
                one.sendall(then)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,), daemon=True)
        thread.start()
        begin = time.monotonic()
        with pytest.raises(NotDeliveredError, match="no answer in time"):
            way(f"{scheme}://127.0.0.1:{server.getsockname()[1]}/", timeout_s=0.5).deliver(trial())
        assert time.monotonic() - begin < 10
        over.set()
        thread.join()


def test_user_and_password_of_an_address_are_sent(receiver):
    way(receiver.address.replace("//", "//me:a%40b@")).deliver(trial())
    (one,) = receiver.posted
    assert one.headers["authorization"] == "Basic " + base64.b64encode(b"me:a@b").decode()
    assert one.headers["Host"] == receiver.address.split("/")[2]


def test_the_environments_proxy_is_taken(receiver, nobody, monkeypatch):
    monkeypatch.setenv("http_proxy", receiver.address.replace("/hook", "").replace("//", "//me:b@"))
    way("http://name.invalid/far").deliver(trial())
    (one,) = receiver.posted
    assert one.path == "http://name.invalid/far"
    assert one.headers["proxy-authorization"] == "Basic " + base64.b64encode(b"me:b").decode()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    way(receiver.address).deliver(trial())
    assert receiver.posted[1].path == "/hook"
    monkeypatch.setenv("http_proxy", nobody)
    with pytest.raises(NotDeliveredError, match="by way of the proxy"):
        way("http://name.invalid/far").deliver(trial())


def test_no_connection_and_no_answer_are_said(receiver, nobody):
    with pytest.raises(NotDeliveredError, match="no connection"):
        way(nobody).deliver(trial())
    receiver.slow_s = 3
    with pytest.raises(NotDeliveredError, match="no answer in time"):
        way(receiver.address, timeout_s=0.2).deliver(trial())
    with pytest.raises(NotDeliveredError):
        way("http://name.invalid/").deliver(trial())


def test_apprise_brings_the_sentence(receiver):
    ByApprise(address=receiver.address.replace("http://", "json://")).deliver(trial())
    (one,) = receiver.posted
    assert one.message["title"] == "llem: test"
    assert one.message["message"] == "llem can reach you."


def test_apprise_that_cannot_deliver_is_said(receiver):
    receiver.answers = [500]
    with pytest.raises(NotDeliveredError):
        ByApprise(address=receiver.address.replace("http://", "json://")).deliver(trial())
    with pytest.raises(NotDeliveredError) as caught:
        ByApprise(address="nothing").deliver(trial())
    assert caught.value.final


@pytest.mark.process
def test_a_service_that_hangs_does_not_keep_python_from_ending(receiver):
    script = f"""
import threading, time
from llem_notify.delivery import ByApprise
from llem_notify.messages import test
way = ByApprise(address={receiver.address.replace("http://", "json://")!r})
way.deliver(test())
print("delivered", flush=True)
input()
threading.Thread(target=way.deliver, args=[test()], daemon=True).start()
input()
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "delivered\n"  # the answer to the first one is over
        receiver.drips = True
        process.stdin.write("\n")
        process.stdin.flush()
        receiver.await_messages(2, 60)
        process.communicate("\n", timeout=20)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()
