"""`notify.yaml`: what may stand in it, and what is said where it is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llem.plugin_api import ConfigError
from llem_notify.config import EVENTS, config_path, read_config
from llem_notify.delivery import key_bytes
from llem_notify.study import way_to


def written(folder: Path, text: str) -> Path:
    path = folder / "notify.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_is_no_configuration(tmp_path):
    assert read_config(tmp_path / "notify.yaml") is None


def test_it_stands_beside_the_users_configuration(tmp_path):
    assert config_path({"XDG_CONFIG_HOME": str(tmp_path)}) == tmp_path / "llem" / "notify.yaml"
    assert config_path({"LLEM_CONFIG_FILE": str(tmp_path / "x" / "mine.yaml")}) == tmp_path / "x" / "notify.yaml"


def test_a_short_file_is_enough(tmp_path):
    found = read_config(written(tmp_path, "targets: [{name: lab, url: 'https://example.org/x'}]"))
    assert found is not None
    (target,) = found.targets
    assert target.events == EVENTS
    assert found.stalled_after_s == 3600


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[", "not YAML"),
        ("", "targets"),
        ("targets: []", "targets"),
        ("targets: [{name: a}]", "one of url"),
        ("targets: [{name: a, url: 'ftp://x/'}]", "https://"),
        ("targets: [{name: a, url: 'x'}]", "https://"),
        ("targets: [{name: a, url: 'https://u:hunter2secret@x/'}]", "a password"),
        ("targets: [{name: a, url: 'https://x/', url_file: y}]", "here are 2"),
        ("targets: [{name: a, url: 'https://x/', token: y}]", "token"),
        ("targets: [{name: a, url: 'https://x/', secret: hunter2secret}]", "secret"),
        ("targets: [{name: a, url: 'https://x/', events: [all]}]", "events"),
        ("targets: [{name: a, url: 'https://x/', events: []}]", "events"),
        ("targets: [{name: a, url: 'https://x/'}, {name: a, url: 'https://y/'}]", "called `a`"),
        ("targets: [{name: a, apprise_file: x, secret_file: y}]", "only webhooks"),
        ("targets: [{name: a, url: 'https://x/', secret_file: x, secret_variable: y}]", "either"),
        ("{targets: [{name: a, url: 'https://x/'}], stalled_after_s: 0}", "stalled_after_s"),
        ("{targets: [{name: a, url: 'https://x/'}], stalled_after_s: .nan}", "notify.yaml:1"),
        ("{targets: [], targets: []}", "twice"),
        ("targets: [{name: a, url: 2024-13-45}]", "targets.0.url"),
        ("a: &a {x: 1}\nb: &b {c: *a, d: *a}\ntargets: !!set {a, b}", "tag"),
        (f"stalled_after_s: {'1' * 5000}", "notify.yaml"),
        ("targets: [{name: a, url: 'http://x:99999/'}]", "65535"),
        ("targets: [{name: a, url: 'https://u:hunter2secret\u2100@x/'}]", "https://"),
        ("targets: [{name: a, url_variable: ''}]", "url_variable"),
    ],
)
def test_what_is_wrong_is_said_without_secrets(tmp_path, text, says):
    with pytest.raises(ConfigError) as caught:
        read_config(written(tmp_path, text))
    said = str(caught.value)
    assert says in said
    assert "notify.yaml" in said
    assert "hunter2secret" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "sparse"])
def test_what_is_no_file_keeps_nobody_waiting(tmp_path, kind):
    path = tmp_path / "notify.yaml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.touch()
        os.truncate(path, 2**30)
    with pytest.raises(ConfigError, match=r"pipe|device|folder|larger"):
        read_config(path)


def test_a_key_that_is_no_text_signs_by_its_bytes():
    assert key_bytes(os.fsdecode(b"\xff\xfe")) == b"\xff\xfe"


def test_secrets_come_from_variables_and_files(tmp_path):
    (tmp_path / "key").write_text("whsec_aGVsbG8=\n")
    found = read_config(written(tmp_path, "targets: [{name: a, url_variable: HOOK, secret_file: key}]"))
    assert found is not None
    way = way_to(found.targets[0], tmp_path, {"HOOK": " https://example.org/s3cret "})
    assert (way.address, way.key) == ("https://example.org/s3cret", "whsec_aGVsbG8=")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("url_variable: NOT_THERE", "NOT_THERE is not set"),
        ("url_variable: EMPTY", "EMPTY is not set"),
        ("url_variable: WORD", "https://"),
        ("url_file: nothing", "No such file"),
        ("url_file: empty", "is empty"),
        ("url_file: binary", "no text"),
        ("url_variable: ODD", "https://"),
        ("url_file: pipe", "a pipe"),
        ("url_file: /dev/zero", "a device"),
        ("url_file: sparse", "larger than"),
        ("url_file: ~nobody-of-this-name/x", "home directory"),
        ('url_file: "x\\0y"', "null byte"),
        ("{url: 'https://x/', secret_variable: BAD_KEY}", "no base64"),
        ("{url: 'https://x/', secret_variable: NO_KEY}", "nothing"),
        ("apprise_file: nothing", "No such file"),
    ],
)
def test_a_secret_that_cannot_be_had_is_said_and_not_shown(tmp_path, target, says):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 2**30)
    target = target if target.startswith("{") else f"{{{target}}}"
    found = read_config(written(tmp_path, f"targets: [{target.replace('{', '{name: lab, ', 1)}]"))
    assert found is not None
    environ = {"EMPTY": " ", "WORD": "hunter2secret", "BAD_KEY": "whsec_hunter2secret!"}
    environ |= {"ODD": "https://u:hunter2secret\u2100@x/", "NO_KEY": "whsec_"}
    with pytest.raises(ConfigError) as caught:
        way_to(found.targets[0], tmp_path, environ)
    assert says in str(caught.value)
    assert "target lab" in str(caught.value)
    assert "hunter2secret" not in str(caught.value)
