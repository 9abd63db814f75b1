"""Models and tokenizers of the hub, asked for before a worker loads them; the hub is a server of the test's own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from llem.config.compose import Composer
from llem.plugins import default_registry
from llem.specs.check import Finding, PreflightContext
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_hub.availability import ANSWER_S, availability
from llem_hub.model_check import check_models

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """Has `org/there` at `main` and `v1`, and `org/private` for whoever has the token; keeps silent on `org/silent`."""

    asked: list[str]
    over: threading.Event

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if "silent" in self.path:
            self.over.wait(20)
        private = "private" in self.path and self.headers.get("Authorization") != "Bearer secret"
        known = self.path in ("/api/models/org/there", "/api/models/org/there/revision/v1", "/api/models/org/private")
        code = 500 if "broken" in self.path else 401 if private else 200 if known else 404
        body = json.dumps({"sha": COMMIT} if code == 200 else {"error": "Repository not found"}).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Says nothing of clients that hang up: that is part of the tests."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Hub]]:
    """A hub that answers, and an empty cache."""
    handler = type("Here", (Hub,), {"asked": [], "over": threading.Event()})
    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}/")
    yield handler
    handler.over.set()
    server.shutdown()
    server.server_close()


def findings(*models: str | dict[str, Any], runner: str = "local", base_dir: Path = Path()) -> list[Finding]:
    registry = default_registry()
    composer = Composer(registry[BACKENDS], registry[SCENARIOS])
    dataset = {"name": "synthetic", "n": 1, "input_tokens": 4}
    planned = [composer.compose({"model": m, "backend": "testbed", "dataset": dataset}) for m in models]
    runners = {"testbed": runner}
    return list(
        check_models(PreflightContext(registry=registry, experiments=planned, runners=runners, base_dir=base_dir))
    )


def test_what_the_hub_has_is_found_and_what_it_lacks_is_an_error(hub: type[Hub]) -> None:
    there, missing = findings("org/there", "org/gone")
    assert (there.level, there.message) == ("ok", "model `org/there`: hub")
    assert missing.level == "error"
    assert "the hub has none of this name that you may read (Repository not found)" in missing.message
    assert "a folder needs ./ in front" in (missing.remedy or "")


def test_the_commit_of_a_name_is_told_by_the_hub_and_by_its_cache(hub: type[Hub], tmp_path: Path) -> None:
    assert availability("org/there", None).commit == COMMIT
    assert availability("org/gone", None).commit is None
    cached = tmp_path / "hf" / "hub" / "models--org--there"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("f" * 40)
    (cached / "snapshots" / ("f" * 40)).mkdir(parents=True)
    (cached / "snapshots" / ("f" * 40) / "model.safetensors").touch()
    found = availability("org/there", None)
    assert (found.state, found.commit) == ("cached", "f" * 40)


def test_a_revision_and_a_tokenizer_are_asked_for_too(hub: type[Hub]) -> None:
    found = findings(
        {"source": "org/there", "revision": "v1"},
        {"source": "org/there", "revision": "v2"},
        {"source": "random:tiny-llama", "tokenizer": "org/gone"},
    )
    assert [f.level for f in found] == ["ok", "error", "ok", "error"]
    assert found[1].message.startswith("model `org/there` at revision v2: ")
    assert found[3].message.startswith("tokenizer `org/gone`: ")


def test_the_token_of_the_environment_opens_what_is_private(hub: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    assert availability("org/private", None).state == "missing"
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert availability("org/private", None).state == "there"


def test_a_hub_that_keeps_silent_is_told_in_time_and_asked_once(hub: type[Hub]) -> None:
    began = time.monotonic()
    first, second = findings("org/silent", "org/silent-too")
    assert time.monotonic() - began < 2 * ANSWER_S + 5
    assert {first.level, second.level} == {"warning"}
    assert "cannot be reached" in first.message
    assert "no answer within 1.5 s" in first.message or "timed out" in first.message
    assert "hf download org/silent" in (first.remedy or "")
    assert len(hub.asked) == 1


def test_a_hub_that_is_not_there_or_out_of_order_is_no_reason_to_call_a_model_missing(
    hub: type[Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert availability("org/broken", None).detail == "it answers with HTTP 500"
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    (found,) = findings("org/there")
    assert (found.level, "Connection refused" in found.message) == ("warning", True)


def test_what_the_cache_has_is_not_asked_for(hub: type[Hub], tmp_path: Path) -> None:
    model = tmp_path / "hf" / "hub" / "models--org--mine"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("c0ffee")
    (model / "snapshots" / "c0ffee").mkdir(parents=True)
    (model / "snapshots" / "c0ffee" / "model.safetensors").write_bytes(b"")
    (found,) = findings("org/mine")
    assert (found.level, found.message) == ("ok", "model `org/mine`: hub, in its cache here")
    assert hub.asked == []


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_who_forbids_the_network_is_told_what_the_cache_lacks(
    hub: type[Hub], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    (found,) = findings("org/there")
    assert found.level == "error"
    assert "hf download org/there" in (found.remedy or "")
    assert hub.asked == []


def test_a_tokenizer_in_a_folder_is_found_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    model = {"source": "random:tiny-llama", "tokenizer": "./mine"}
    assert [f.level for f in findings(model, base_dir=tmp_path)] == ["ok", "error"]
    (tmp_path / "mine" / "tokenizer.json").write_text("{}")
    assert [f.level for f in findings(model, base_dir=tmp_path)] == ["ok", "ok"]


def test_a_worker_in_another_environment_looks_for_its_model_itself(hub: type[Hub]) -> None:
    (found,) = findings("org/gone", runner="docker:image")
    assert found.level == "ok"
    assert hub.asked == []


def test_the_remedy_of_a_hub_out_of_reach_is_one_sentence(
    hub: type[Hub], monkeypatch: pytest.MonkeyPatch, reported: Callable[[Finding], str]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    (found,) = findings("org/there")
    assert reported(found).endswith("or name a folder.")


@pytest.fixture
def reported() -> Callable[[Finding], str]:
    """A finding as the user reads it."""
    from llem.study.reporter import SilentReporter
    from llem.study.run import report_findings

    def say(finding: Finding) -> str:
        said: list[str] = []

        class Listening(SilentReporter):
            def message(self, level: Any, text: str) -> None:
                said.append(text)

        report_findings([finding], Listening())
        return said[0]

    return say


def test_each_model_is_looked_at_once_and_named_where_it_is_missing(tmp_path: Path) -> None:
    gone, shape = findings("./gone", "./gone", "random:tiny-llama", base_dir=tmp_path)
    assert (gone.level, shape.level) == ("error", "ok")
    assert "./gone" in gone.message
