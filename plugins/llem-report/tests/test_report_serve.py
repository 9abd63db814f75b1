"""The page of a running study: for this machine alone, by GET alone, and gone with Ctrl-C."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from llem.errors import LlemError
from llem.results.job_directory import RESULT, write_json
from llem_report.gather import gather
from llem_report.models import ReportStudy
from llem_report.serve import Server


@pytest.fixture
def study_dir(make_result, write_study):
    return write_study(make_result())


@pytest.fixture
def served() -> Iterator[Callable[[Callable[[], ReportStudy]], Server]]:
    running: list[tuple[Server, threading.Thread]] = []

    def start(found: Callable[[], ReportStudy]) -> Server:
        server = Server(found, port=0)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


@pytest.mark.process
def test_page_and_data_are_served(served, study_dir):
    server = served(lambda: gather(study_dir))
    status, headers, body = ask(server, "/")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "connect-src 'self'" in headers["Content-Security-Policy"]
    assert b"made-by-hand" in body
    status, headers, body = ask(server, "/data.json")
    assert status == 200
    assert json.loads(body)["table"]["n"] == 1
    assert ask(server, "/data.json", If_None_Match=headers["ETag"])[0] == 304
    assert "Access-Control-Allow-Origin" not in headers


def test_data_follow_the_study(served, study_dir, make_result):
    server = served(lambda: gather(study_dir))
    _, headers, _ = ask(server, "/data.json")
    (study_dir / "experiments" / "0002").mkdir()
    write_json(study_dir / "experiments" / "0002" / RESULT, make_result(position=2).model_dump(mode="json"))
    for _ in range(1000):
        status, _, body = ask(server, "/data.json", If_None_Match=headers["ETag"])
        if status == 200:
            break
        threading.Event().wait(0.05)
    assert json.loads(body)["table"]["n"] == 2


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", "[::1]:{port}", ""]
)
def test_who_asks_by_another_name_gets_nothing(served, study_dir, host):
    server = served(lambda: gather(study_dir))
    status, _, body = ask(server, "/data.json", Host=host.format(port=server.server_port))
    assert status == 421
    assert b"made-by-hand" not in body


def test_localhost_is_this_machine(served, study_dir):
    server = served(lambda: gather(study_dir))
    assert ask(server, "/data.json", Host=f"localhost:{server.server_port}")[0] == 200


@pytest.mark.parametrize(
    "path", ["/../study.yaml", "/experiments/0001/result.json", "//etc/passwd", "/data.json/", "/favicon.ico"]
)
def test_nothing_else_is_served(served, study_dir, path):
    assert ask(served(lambda: gather(study_dir)), path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_is_taken(served, study_dir, method):
    assert ask(served(lambda: gather(study_dir)), "/data.json", method)[0] == 501


def test_the_socket_is_bound_to_loopback(served, study_dir):
    assert served(lambda: gather(study_dir)).socket.getsockname()[0] == "127.0.0.1"


def test_a_study_that_is_gone_is_said_and_may_come_back(served, study_dir):
    server = served(lambda: gather(study_dir))
    moved = study_dir.rename(study_dir.with_name("elsewhere"))
    status, _, body = ask(server, "/data.json")
    assert status == 503
    assert b"made-by-hand" in body
    moved.rename(study_dir)
    assert ask(server, "/data.json")[0] == 200


def test_a_taken_port_is_one_clear_paragraph(llem, study_dir):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = llem("report", study_dir, "--serve", "--port", str(port))
    assert done.returncode == LlemError.exit_code
    assert f"port {port} is taken" in done.stderr
    assert "--port" in done.stderr


@pytest.mark.process
def test_ctrl_c_ends_it_with_a_line_and_without_an_error(study_dir):
    command = [sys.executable, "-m", "llem", "report", str(study_dir), "--serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert found, line
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out == "No longer served.\n"
    assert err == ""
