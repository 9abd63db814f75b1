"""A door before vLLM's server that takes requests of this experiment only. vLLM puts this class before its own (`--middleware`).

The server answers on a port of this machine, at which others may knock, and some of its pages can change what it does.
"""

from __future__ import annotations

import hmac
import os
from typing import Any

KEY = "LLEM_VLLM_KEY"
"""Name of the variable that holds the key of the experiment's own requests."""


class Guard:
    """An ASGI application before another one: what comes without the key is refused."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._expected = f"Bearer {os.environ[KEY]}".encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "lifespan" and not self._is_known(scope):
            await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, send)

    def _is_known(self, scope: Any) -> bool:
        found = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return hmac.compare_digest(found, self._expected)
