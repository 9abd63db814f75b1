"""One try to deliver one message: by a signed POST, or through Apprise."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from llem.plugin_api import PluginError

if TYPE_CHECKING:
    from llem_notify.messages import Message

PREFIX = "whsec_"
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same message may be taken later."""

LONGEST_PAUSE_S = 60.0


class NotDeliveredError(Exception):
    """A try that failed.

    Attributes:
        final: another one would fail as well.
        after_s: pause that the receiver asked for; None where it asked for none.
    """

    def __init__(self, why: str, *, final: bool = False, after_s: float | None = None) -> None:
        super().__init__(why)
        self.final, self.after_s = final, after_s


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """An address that takes messages by POST.

    Attributes:
        address: of the web.
        key: signs each message; None for none.
        timeout_s: for the connection, and for the beginning of an answer.
    """

    address: str
    key: str | None
    timeout_s: float

    def deliver(self, message: Message) -> None:
        """Post a message. Raises NotDeliveredError. No redirection is followed: it would take the message elsewhere."""
        import urllib3

        from llem_notify.connection import Deadline, headers_of, manager_for

        body = message.body()
        headers = {"Content-Type": "application/json", "User-Agent": "llem-notify"}
        headers |= signature(message.id, int(time.time()), body, self.key)
        deadline = Deadline(self.timeout_s)
        try:
            with manager_for(self.address, deadline) as manager:
                answer = manager.request(
                    "POST",
                    self.address,
                    body=body,
                    headers=headers | headers_of(self.address),
                    timeout=urllib3.Timeout(connect=self.timeout_s, read=self.timeout_s),
                    retries=False,
                    redirect=False,
                    preload_content=False,  # an answer's text is of no use, and may have no end
                )
                answer.close()
        # No text of an error is told that nobody knows: it may hold the address, which may be a secret.
        except urllib3.exceptions.HTTPError as error:
            raise NotDeliveredError("no answer in time" if deadline.has_passed else _cause(error)) from error
        except (OSError, ValueError) as error:
            raise NotDeliveredError(getattr(error, "strerror", None) or type(error).__name__) from error
        finally:
            deadline.end()
        if not 200 <= answer.status < 300:
            again = answer.status in AGAIN
            raise NotDeliveredError(
                f"it answered {answer.status}", final=not again, after_s=_pause(answer.headers) if again else None
            )


@dataclass(frozen=True, kw_only=True)
class ByApprise:
    """A service that Apprise knows, by its URL."""

    address: str

    def deliver(self, message: Message) -> None:
        """Hand a message to Apprise. Raises NotDeliveredError; PluginError where Apprise is not installed."""
        apprise = require_apprise()
        service = apprise.Apprise()
        if not service.add(self.address):
            raise NotDeliveredError("Apprise does not know such an address", final=True)
        title = f"llem: {message.event.replace('_', ' ')}"
        # Each in this thread: those of Apprise's own pool are waited for when Python ends, however long they take, and start
        # no more by then.
        told = [one.notify(title=title, body=message.text) for one in service]
        if not all(told):
            raise NotDeliveredError("Apprise could not deliver it")


def require_apprise() -> Any:
    """The module of Apprise, which has no types. Raises PluginError where it is not installed."""
    try:
        import apprise
    except ImportError as error:
        raise PluginError(
            "a target of Apprise needs Apprise.", where="notify.yaml", remedy="pip install 'llem-notify[apprise]'"
        ) from error
    return apprise


def signature(identity: str, seconds: int, body: bytes, key: str | None) -> Mapping[str, str]:
    """Headers by the Standard Webhooks specification 1.0: HMAC-SHA256 over `id.timestamp.body`, base64.

    Args:
        identity: of the message.
        seconds: since 1970, when it is sent.
        body: as it is sent.
        key: `whsec_` and base64, or any other text, whose UTF-8 bytes are the key. None: the headers without a signature.
    """
    headers = {"webhook-id": identity, "webhook-timestamp": str(seconds)}
    if key is not None:
        signed = hmac.new(key_bytes(key), f"{identity}.{seconds}.".encode() + body, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(signed).decode()}"
    return headers


def key_bytes(key: str) -> bytes:
    """The bytes of a key. Raises ValueError where it begins with `whsec_` and goes on with nothing, or with no base64."""
    if not key.startswith(PREFIX):
        return key.encode(errors="surrogateescape")  # the bytes of the environment, whatever they are
    if not (found := base64.b64decode(key.removeprefix(PREFIX), validate=True)):
        raise ValueError("the key is empty")
    return found


def _pause(headers: Mapping[str, str]) -> float | None:
    """The seconds that `Retry-After` asks for, as a number or as a date; None where it says neither."""
    asked = headers.get("Retry-After", "")
    if asked.isascii() and asked.isdigit():
        return min(float(asked), LONGEST_PAUSE_S)
    try:
        until = parsedate_to_datetime(asked)
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, until.timestamp() - time.time()), LONGEST_PAUSE_S)


def _cause(error: Exception) -> str:
    import urllib3.exceptions as of

    if isinstance(error, of.ProxyError):
        return "no connection by way of the proxy"
    if isinstance(error, of.NewConnectionError | of.NameResolutionError):
        return f"no connection ({error.__cause__ or error})" if error.__cause__ else "no connection"
    if isinstance(error, of.TimeoutError):
        return "no answer in time"
    if isinstance(error, of.SSLError):
        inner = error.args[0] if error.args else error
        return (
            f"no TLS ({getattr(inner, 'verify_message', None) or getattr(inner, 'reason', None) or 'no reason told'})"
        )
    if isinstance(error, of.ProtocolError):
        return "it closed the connection, or its answer is no HTTP"
    return type(error).__name__
