"""One try to deliver one message: by a signed POST, or through Apprise."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
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
        timeout_s: for the connection, and for each part of an answer.
    """

    address: str
    key: str | None
    timeout_s: float

    def deliver(self, message: Message) -> None:
        """Post a message. Raises NotDeliveredError. No redirection is followed: it would take the message elsewhere."""
        import urllib3

        body = message.body()
        headers = {"Content-Type": "application/json", "User-Agent": "llem-notify"}
        headers |= signature(message.id, int(time.time()), body, self.key)
        timeout = urllib3.Timeout(connect=self.timeout_s, read=self.timeout_s)
        try:
            with urllib3.PoolManager() as pool:
                answer = pool.request(
                    "POST",
                    self.address,
                    body=body,
                    headers=headers,
                    timeout=timeout,
                    retries=False,
                    redirect=False,
                    preload_content=False,  # an answer's text is of no use, and may have no end
                )
                answer.close()
        except urllib3.exceptions.HTTPError as error:
            raise NotDeliveredError(_cause(error)) from error
        except (OSError, ValueError) as error:
            raise NotDeliveredError(str(error) or type(error).__name__) from error
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
        if not service.notify(title=f"llem: {message.event.replace('_', ' ')}", body=message.text):
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
    """The bytes of a key. Raises ValueError where it begins with `whsec_` and goes on with what is no base64."""
    return base64.b64decode(key.removeprefix(PREFIX), validate=True) if key.startswith(PREFIX) else key.encode()


def _pause(headers: Mapping[str, str]) -> float | None:
    asked = headers.get("Retry-After", "")
    return min(float(asked), LONGEST_PAUSE_S) if asked.isascii() and asked.isdigit() else None


def _cause(error: Exception) -> str:
    import urllib3.exceptions as of

    if isinstance(error, of.NewConnectionError | of.NameResolutionError):
        return f"no connection ({error.__cause__ or error})" if error.__cause__ else "no connection"
    if isinstance(error, of.TimeoutError):
        return "no answer in time"
    return type(error).__name__
