"""SIF files made by the real Apptainer: of a registry's image and of an archive, once, and known again."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llem_apptainer import cache
from llem_apptainer.images import source_of
from llem_containers.apptainer import find
from llem_containers.errors import ImageMissing, PullFailed
from llem_containers.process import this_process

pytestmark = pytest.mark.apptainer

_TYPES = "application/vnd.oci.image."


class Registry(http.server.ThreadingHTTPServer):
    """A registry with the one image `x/y:1`, an empty file system.

    Attributes:
        asked: paths that were asked for.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as out:
            for name in ("bin", "etc", "usr"):
                folder = tarfile.TarInfo(name)
                folder.type, folder.mode = tarfile.DIRTYPE, 0o755
                out.addfile(folder)
        content = layer.getvalue()
        rootfs = {"type": "layers", "diff_ids": [_digest(content)]}
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
        self.blobs = {_digest(one): one for one in (content, config)}
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": f"{_TYPES}manifest.v1+json",
                "config": _described("config.v1+json", config),
                "layers": [_described("layer.v1.tar", content)],
            }
        ).encode()

    @property
    def address(self) -> str:
        return f"docker://127.0.0.1:{self.server_address[1]}/x/y"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body, kind = self.server.blobs.get(self.path.rpartition("/")[2]), "application/octet-stream"
        if self.path == "/v2/":
            body = b"{}"
        elif self.path.endswith("/manifests/1"):
            body, kind = self.server.manifest, f"{_TYPES}manifest.v1+json"
        status = 404 if body is None else 200
        body = (
            body if body is not None else b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'
        )
        self.send_response(status)
        self.send_header("Content-Type", kind if status == 200 else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _described(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": _TYPES + kind, "digest": _digest(content), "size": len(content)}


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Registry]:
    """A registry on this machine; what Apptainer itself keeps of it is the test's own."""
    monkeypatch.setenv("APPTAINER_CACHEDIR", str(tmp_path / "own"))
    server = Registry()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_image_of_a_registry_is_pulled_once_and_has_the_digest_of_its_file(
    registry: Registry, tmp_path: Path
) -> None:
    source, at = source_of(f"{registry.address}:1"), tmp_path / "cache"
    with pytest.raises(ImageMissing, match="none is to be made"):
        cache.image(source, find(), make=False, at=at)
    assert registry.asked == []
    made = cache.image(source, find(), make=True, at=at)
    assert made.digest == _digest(made.path.read_bytes())
    asked = len(registry.asked)
    assert asked
    assert cache.image(source, find(), make=False, at=at) == made
    assert len(registry.asked) == asked
    assert json.loads(made.path.with_suffix(".json").read_text())["image"] == source.reference
    assert {path.suffix for path in at.iterdir()} == {".sif", ".json", ".lock"}


def test_a_tag_that_a_registry_does_not_have_is_told_and_nothing_is_left(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(PullFailed, match="manifest unknown") as failed:
        cache.image(source_of(f"{registry.address}:2"), find(), make=True, at=tmp_path / "cache")
    assert failed.value.remedy == "Check name and tag."
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".lock"}


def test_an_archive_is_known_by_its_content_and_made_anew_where_its_file_was_changed(
    docker_archive: Callable[[Path, Path], Path], tmp_path: Path
) -> None:
    for name in ("fs/bin", "fs/etc", "fs/usr"):
        (tmp_path / name).mkdir(parents=True)
    archive, at = docker_archive(tmp_path / "fs", tmp_path / "x.tar"), tmp_path / "cache"
    killed = at / f"x.tar-0-by-{this_process().rpartition(':')[0]}:1.partial"
    at.mkdir()
    killed.touch()
    made = cache.image(source_of(str(archive)), find(), make=True, at=at)
    assert made.digest == _digest(made.path.read_bytes())
    assert not killed.exists()
    (tmp_path / "moved").mkdir()
    moved = archive.rename(tmp_path / "moved" / "x.tar")
    assert cache.image(source_of(f"docker-archive:{moved}"), find(), make=False, at=at).path == made.path
    made.path.write_bytes(b"changed by somebody")
    again = cache.image(source_of(str(moved)), find(), make=True, at=at)
    assert again.digest == _digest(again.path.read_bytes())
    assert again.path.stat().st_size > 1000
