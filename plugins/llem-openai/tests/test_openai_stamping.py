"""Times of arrival by the kernel's stamps, and without them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from llem_openai import stamping
from llem_openai.stamping import arrival_ns, have_stamped


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's socket that is to be stamped, and the server's."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        have_stamped(client)
        server, _ = listening.accept()
        with client, server:
            yield client, server


def sent(server: socket.socket) -> tuple[int, int]:
    before_ns = time.monotonic_ns()
    server.sendall(b"data")
    return before_ns, time.monotonic_ns()


def test_bytes_that_are_read_late_have_the_time_at_which_they_came(ends: tuple[socket.socket, socket.socket]) -> None:
    client, server = ends
    before_ns, after_ns = sent(server)
    time.sleep(0.3)
    found = arrival_ns(client)
    assert found is not None
    # The two clocks are read within 20 us of each other.
    assert before_ns - 100_000 <= found <= after_ns + 100_000_000
    assert client.recv(10) == b"data"


def test_a_wall_clock_that_was_set_is_not_believed(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, server = ends
    sent(server)
    for off_ns in (-3600 * 10**9, 3600 * 10**9):
        real = time.time_ns
        with monkeypatch.context() as patched:
            patched.setattr(stamping.time, "time_ns", lambda real=real, off_ns=off_ns: real() + off_ns)
            assert arrival_ns(client) is None


def test_where_nothing_waits_or_nothing_is_stamped_it_is_not_known(ends: tuple[socket.socket, socket.socket]) -> None:
    client, server = ends
    client.setblocking(False)
    assert arrival_ns(client) is None
    with socket.socketpair()[0] as plain:
        plain.setblocking(False)
        assert arrival_ns(plain) is None
    server.close()
    time.sleep(0.05)
    assert arrival_ns(client) is None
