"""A response of HTTP, however it is framed and wherever it is cut."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem_openai.address import address_of
from llem_openai.response import HEAD_LIMIT, ProtocolError, ResponseReader

BODIES = st.binary(max_size=60)


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """The data in pieces, cut at these places."""
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]


def chunked(parts: Sequence[bytes]) -> bytes:
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part) for part in parts if part) + b"0\r\nTrailer: x\r\n\r\n"


def framed(framing: str, parts: Sequence[bytes]) -> bytes:
    body = b"".join(parts)
    head = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    return {
        "chunked": head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(parts),
        "length": head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body),
        "open": head + b"\r\n" + body,
        "gzip": head + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(body),
    }[framing]


@given(
    framing=st.sampled_from(["chunked", "length", "open", "gzip"]),
    parts=st.lists(BODIES),
    places=st.lists(st.integers(0, 500)),
)
def test_the_body_is_the_same_wherever_its_bytes_are_cut(framing: str, parts: list[bytes], places: list[int]) -> None:
    reader = ResponseReader()
    found = b"".join(part for piece in cut(framed(framing, parts), places) for part in reader.feed(piece))
    assert reader.is_complete == (framing in ("chunked", "length"))
    reader.end()
    assert (reader.status, reader.is_complete, found) == (200, True, b"".join(parts))
    assert reader.is_reusable == (framing in ("chunked", "length"))
    assert reader.fields["content-type"] == "text/event-stream"


@given(data=st.binary(max_size=200), places=st.lists(st.integers(0, 200)), begun=st.booleans())
def test_whatever_comes_is_a_body_or_one_kind_of_error(data: bytes, places: list[int], begun: bool) -> None:
    reader = ResponseReader()
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" if begun else b""
    found = 0
    with suppress(ProtocolError):
        for piece in cut(start + data, places):
            found += sum(len(part) for part in reader.feed(piece))
        reader.end()
    assert found <= len(data)


def test_a_part_of_a_chunk_is_given_out_before_its_rest_has_come() -> None:
    reader = ResponseReader()
    assert list(reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nabc")) == [b"abc"]
    assert list(reader.feed(b"de")) == [b"de"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/2 200\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 xx OK\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nno field\r\n\r\n", "is no field"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "no number"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "not asked for"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n", "not asked for"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", "no number"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", "longer than it says"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * HEAD_LIMIT, "without end"),
    ],
)
def test_what_is_no_response_is_told(data: bytes, said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        list(ResponseReader().feed(data))


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n", True),
    ],
)
def test_a_connection_is_used_again_where_both_sides_keep_it(head: bytes, reusable: bool) -> None:
    reader = ResponseReader()
    assert list(reader.feed(head + b"\r\n")) == []
    assert (reader.is_complete, reader.is_reusable) == (True, reusable)


def test_bytes_behind_the_end_are_nobody_s_and_the_connection_is_left() -> None:
    reader = ResponseReader()
    assert list(reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 200 OK\r\n\r\n")) == [b"ab"]
    assert (reader.is_complete, reader.is_reusable) == (True, False)


@pytest.mark.parametrize(
    ("url", "begin"),
    [
        ("http://here:8000/v1", b"POST /v1/completions HTTP/1.1\r\nHost: here:8000\r\n"),
        ("http://here", b"POST /completions HTTP/1.1\r\nHost: here\r\n"),
        ("https://here/a/v1", b"POST /a/v1/completions HTTP/1.1\r\nHost: here\r\n"),
        ("http://[::1]:80/v1", b"POST /v1/completions HTTP/1.1\r\nHost: [::1]\r\n"),
        ("http://[::1]:81/v1", b"POST /v1/completions HTTP/1.1\r\nHost: [::1]:81\r\n"),
    ],
)
def test_a_request_names_the_page_and_the_host(url: str, begin: bytes) -> None:
    assert address_of(url).head("POST", "completions", {}) == begin


@given(st.binary(min_size=1, max_size=40), st.sampled_from([b"", b";x=1", b" "]), st.booleans())
def test_a_chunk_that_comes_alone_is_the_same_by_the_short_way(part: bytes, more: bytes, whole: bool) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    data = b"%x%s\r\n%s\r\n" % (len(part), more, part)
    data = data if whole else data[:-1]
    long, short = ResponseReader(), ResponseReader()
    for reader in (long, short):
        assert list(reader.feed(head)) == []
    expected = b"".join(long.feed(data))
    only = short.only_chunk(data)
    assert only == (part if whole and not more else None)
    if only is not None:
        assert only == expected
        assert b"".join(short.feed(b"2\r\nok\r\n")) == b"ok"


@pytest.mark.parametrize(
    "data", [b"+4\r\nabcd\r\n", b"4_\r\nabcd\r\n", b"0\r\n\r\n", b"xy\r\nabcd\r\n", b"5\r\nabcd\r\n", b"\r\n\r\n"]
)
def test_what_is_no_whole_chunk_goes_the_long_way(data: bytes) -> None:
    reader = ResponseReader()
    list(reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
    assert reader.only_chunk(data) is None
    assert ResponseReader().only_chunk(b"4\r\nabcd\r\n") is None
