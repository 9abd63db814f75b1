"""Access to the server: its address, the key, what it says of itself. Nothing here lets the key out."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llem.plugin_api import HIDDEN, ModelError
from llem_openai.address import Address, address_of
from llem_openai.config import FIELDS, NEEDED, OpenaiConfig
from llem_openai.refusal import BODY_LIMIT, better_name, named_field, printable, reason
from llem_openai.response import ProtocolError

NOT_TAKEN = (400, 422)
"""Answers of servers to a field that they do not know."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""Answers that point to another address."""

NETWORK_ERRORS = (OSError, http.client.HTTPException, ProtocolError)
"""Errors that a client can meet on the way to a server."""

_NO_PAGE = frozenset({404, 405, 501})

_PAGE_LIMIT = 16 << 20
"""Bytes of a page that are read; a gateway's list of models is about one."""


@dataclass(frozen=True)
class Access:
    """A way to the server.

    Attributes:
        options: the section of the study.
        headers: with the key, where there is one; not shown where this is printed.
    """

    options: OpenaiConfig
    headers: Mapping[str, str] = field(repr=False)

    @property
    def address(self) -> Address:
        """The address of the API, in parts."""
        return address_of(self.options.base_url)

    def get(self, page: str) -> tuple[int, str]:
        """A page's status and text. Raises ModelError where nobody answers, or the answer has no end.

        Args:
            page: below the API's address; the whole path where it begins with a slash.
        """
        return self._page("GET", page, None)

    def post(self, page: str, document: Mapping[str, Any]) -> tuple[int, str]:
        """As `get`, after a document was sent to the page as JSON."""
        return self._page("POST", page, json.dumps(document).encode())

    def _page(self, method: str, page: str, body: bytes | None) -> tuple[int, str]:
        limit, address = self.options.connect_timeout_s, self.address
        deadline = time.monotonic() + max(limit, 1.0) * 6
        connecting = http.client.HTTPSConnection if address.is_encrypted else http.client.HTTPConnection
        connection = connecting(address.host, address.port, timeout=limit)
        path = page if page.startswith("/") else f"{address.path}/{page}"
        data = b""
        try:
            headers = {**self.headers, "Host": address.authority}
            if body is not None:
                headers["Content-Type"] = "application/json"
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            if response.status in REDIRECTS:
                raise self.elsewhere(response.status, response.headers.get("location", ""))
            while part := response.read1(1 << 16):
                data += part
                if len(data) > _PAGE_LIMIT or time.monotonic() > deadline:
                    raise ModelError(
                        f"the page has no end: {len(data):,} bytes so far.",
                        where=f"{self.options.base_url}, {path}",
                        remedy="Correct openai.base_url; it usually ends with /v1.",
                    )
        except NETWORK_ERRORS as error:
            raise unreachable(self.options, error) from error
        finally:
            connection.close()
        return response.status, data.decode(errors="replace")

    def models(self) -> list[dict[str, Any]] | None:
        """Models that the server serves: one entry for each model, with its `id`; None where it has no such page, as some gateways.

        Raises ModelError where it does not say.
        """
        status, text = self.get("models")
        if status in _NO_PAGE:
            return None
        if status != 200:
            raise self.refused(status, text[:BODY_LIMIT])
        try:
            found = [entry for entry in json.loads(text)["data"] if isinstance(entry.get("id"), str)]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelError(
                f"its page /models holds no list of models; it begins with {printable(text[:80], 80)!r}.",
                where=self.options.base_url,
                remedy="Correct openai.base_url; it usually ends with /v1.",
            ) from error
        return found

    def version(self) -> str | None:
        """The server's version by its own word, where it has a page for that, as vLLM has."""
        try:
            status, text = self.get(self.address.path.removesuffix("/v1") + "/version")
            told = json.loads(text)["version"] if status == 200 else None
        except (ModelError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return printable(told) if isinstance(told, str) else None

    def refused(self, status: int, text: str, sent: Iterable[str] = ()) -> ModelError:
        """The server answers that it will not.

        Args:
            status: of HTTP; text: the answer's body.
            sent: the request's fields.
        """
        options, field = self.options, named_field(text, sent) if status in NOT_TAKEN else None
        remedy = {
            401: f"Put the key into the variable {options.api_key_variable}, or name a file by openai.api_key_file.",
            403: f"The key in {options.api_key_variable} may not do this; take another.",
            404: "Correct openai.base_url (it usually ends with /v1) or openai.served_name.",
            429: "Lower openai.concurrency, or ask for a higher limit; a measurement cannot wait for its turn.",
        }.get(status, "Look at the server's log.")
        if field is not None:
            remedy = self._without(field, text)
        elif status in NOT_TAKEN:
            remedy = "Look at the server's log. A field that it does not take is left out by openai.request_fields: {FIELD: null}"
            remedy += f", or renamed; sent were {', '.join(sent)}." if sent else ", or renamed."
        return ModelError(f"the server refuses with {status}: {self.said(text)}", where=options.base_url, remedy=remedy)

    def _without(self, field: str, text: str) -> str:
        """Remedy for a field that the server named."""
        if field in self.options.extra:
            return f"It names `{field}`: take it out of openai.extra."
        if field not in FIELDS:
            return f"It names `{field}`, which holds the work itself; look at the server's log."
        name = better_name(text, field)
        if name is not None:
            return f"It names `{field}`: rename it by openai.request_fields: {{{field}: {name}}}."
        if field in NEEDED:
            return f"It names `{field}`: rename it by openai.request_fields: {{{field}: NAME}}, by the server's own name for it."
        return (
            f"It names `{field}`: leave it out by openai.request_fields: {{{field}: null}}, or rename it by "
            f"{{{field}: NAME}}, by the server's own name for it."
        )

    def said(self, text: str) -> str:
        """Text of a server, in one line. Some repeat the key that they were given; it is taken out."""
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return reason(text.replace(key, HIDDEN) if key else text)

    def elsewhere(self, status: int, location: str) -> ModelError:
        """The server sends the request to another address. It is not followed: the key would go there too."""
        return ModelError(
            f"the server answers {status} and points to {printable(location) or 'nowhere'}; llem does not follow.",
            where=self.options.base_url,
            remedy="Set openai.base_url to that address if it is the server that you mean.",
        )


def access(options: OpenaiConfig, base_dir: str) -> Access:
    """The way to the server, with its key.

    Raises:
        ModelError: the key's file cannot be read, or is empty.
    """
    key = os.environ.get(options.api_key_variable, "").strip()
    if options.api_key_file is not None:
        path = Path(base_dir, Path(options.api_key_file).expanduser())
        try:
            key = path.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not plain text"
            raise ModelError(
                f"the key cannot be read: {reason}.", where=str(path), remedy="Correct openai.api_key_file."
            ) from error
        if not key:
            raise ModelError("it holds no key.", where=str(path), remedy="Correct openai.api_key_file.")
    if not (key.isascii() and key.isprintable()):
        raise ModelError(
            "the key is no plain line of text, and cannot be sent.",
            where=options.api_key_file or options.api_key_variable,
            remedy="Correct openai.api_key_file, or the variable.",
        )
    return Access(options, {"Authorization": f"Bearer {key}"} if key else {})


def unreachable(options: OpenaiConfig, error: Exception) -> ModelError:
    """Nobody answers."""
    reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    remedy = "Start it, correct openai.base_url, or raise openai.timeout_s where it is only slow."
    if isinstance(error, TimeoutError):
        reason = f"no connection within {options.connect_timeout_s:g} s"
        remedy = "Start it, correct openai.base_url, or raise openai.connect_timeout_s where it is only slow."
    elif isinstance(error, ssl.SSLCertVerificationError):
        reason = f"its certificate is not accepted: {error.verify_message.rstrip('.')}"
        remedy = "Name a file with the certificate of whoever signed it by the variable SSL_CERT_FILE, or correct openai.base_url."
    elif isinstance(error, ssl.SSLError):
        reason = f"no TLS can be agreed on with it ({reason})"
        remedy = "Correct openai.base_url: a server without TLS has an address with http://."
    return ModelError(
        f"the server does not answer: {printable(reason)}.",
        where=options.base_url,
        remedy=remedy,
    )
