"""One try to deliver a message, to a real server: what reaches it, and what each kind of answer means."""

from __future__ import annotations

import base64
import time
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
        (429, False),
        (500, False),
        (503, False),
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
    receiver.endless = True
    begin = time.monotonic()
    way(receiver.address).deliver(trial())
    assert time.monotonic() - begin < 5


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
