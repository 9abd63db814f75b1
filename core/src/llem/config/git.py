"""Commit that a study file belongs to, told without running anything that its folder says.

A repository's own configuration names programs (a file system monitor, filters, a remote's helper), and git runs them for as
little as `git status` or a missing object. A study that came from a stranger brings its repository along. So the commit is
read from the repository's files here; and git, which alone can unpack objects, works in an empty repository of our own, whose
configuration is ours, and only borrows the folder of objects.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from llem.files import read_file

_TIMEOUT_S = 5.0
_SMALL = 2**16
_REFS = 64 * 2**20
_DEEPEST = 5
"""A reference may name another one so often."""
_FILE = 4 * 2**20
_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_NAME = re.compile(r"refs/[^\s~^:?*\[\\]+")


@dataclass(frozen=True)
class GitCommit:
    """The state of the repository that holds a file.

    Attributes:
        commit: hash of the commit that is checked out; None where the repository cannot be read.
        dirty: the file differs from that commit, byte for byte but for line ends, or is not part of it; None where that
            cannot be told.
        reason: why something of it is None.
    """

    commit: str | None
    dirty: bool | None
    reason: str | None = None


def commit_of(path: Path) -> GitCommit | None:
    """The commit that a file stands at, or None: outside a repository, or before its first commit."""
    file = path.resolve()
    found = _repository(file.parent)
    if found is None:
        return None
    tree, folder = found
    try:
        common = _common(folder)
        commit = _head(folder, common)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return GitCommit(None, None, f"the git repository of the study cannot be read: {why}")
    if commit is None:
        return None
    try:
        return GitCommit(commit, _differs(file, file.relative_to(tree).as_posix(), commit, common / "objects"))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return GitCommit(commit, None, f"whether the study file is as it was committed cannot be told: {_why(error)}")


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError) and error.filename == "git":
        return "git is not installed"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"git did not answer within {_TIMEOUT_S:g} s"
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _repository(folder: Path) -> tuple[Path, Path] | None:
    """The nearest work tree that holds a folder, and where its repository is."""
    for tree in (folder, *folder.parents):
        place = tree / ".git"
        if place.is_dir():
            if (place / "HEAD").is_file() or (place / "HEAD").is_symlink():
                return tree, place
        elif place.is_file():
            try:
                text = read_file(place, _SMALL).decode()
            except (OSError, ValueError):
                continue
            if text.startswith("gitdir: "):
                return tree, tree / text.removeprefix("gitdir: ").rstrip("\n")
    return None


def _common(folder: Path) -> Path:
    """The folder of references and objects, which several work trees share. Raises OSError, ValueError."""
    try:
        return folder / read_file(folder / "commondir", _SMALL).decode().rstrip("\n")
    except FileNotFoundError:
        return folder


def _head(folder: Path, common: Path) -> str | None:
    """The commit that HEAD is at; None before the first. Raises OSError, ValueError where that cannot be read."""
    text = read_file(folder / "HEAD", _SMALL).decode().strip()
    for _ in range(_DEEPEST):
        if _HASH.fullmatch(text):
            return text
        name = text.removeprefix("ref: ").strip()
        if not text.startswith("ref: ") or not _NAME.fullmatch(name) or ".." in name:
            raise ValueError("its HEAD names no reference")
        if name == "refs/heads/.invalid":
            raise ValueError("its references are in a form (reftable) that only git reads")
        loose = next((place / name for place in (folder, common) if (place / name).is_file()), None)
        if loose is None:
            return _packed(common / "packed-refs", name)
        text = read_file(loose, _SMALL).decode().strip()
    raise ValueError("its HEAD leads from reference to reference")


def _packed(path: Path, name: str) -> str | None:
    try:
        lines = read_file(path, _REFS).decode(errors="replace").split("\n")
    except FileNotFoundError:
        return None
    for line in lines:
        commit, _, named = line.partition(" ")
        if named == name and _HASH.fullmatch(commit):
            return commit
    return None


def _differs(file: Path, name: str, commit: str, objects: Path) -> bool:
    """True where a file is not what the commit has under this name. Raises OSError, ValueError, SubprocessError."""
    listed = _git(objects, commit, "ls-tree", "-z", "--full-tree", commit, "--", name)
    entry = next((line for line in listed.split(b"\0") if line.partition(b"\t")[2] == os.fsencode(name)), b"")
    kind, blob = [*entry.split(b"\t")[0].split(b" "), b"", b"", b""][1:3]
    if kind != b"blob":
        return True
    data = read_file(file, _FILE)
    # A check-out may have turned line ends into the system's.
    return blob.decode() not in {_blob(data, commit), _blob(data.replace(b"\r\n", b"\n"), commit)}


def _blob(data: bytes, like: str) -> str:
    """The name that git gives to a file of this content, by the hash that a repository with such a commit has."""
    kind = hashlib.sha1 if len(like) == 40 else hashlib.sha256
    return kind(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _git(objects: Path, commit: str, *arguments: str) -> bytes:
    """Answer of git in an empty repository with these objects. It sees no configuration but ours, and fetches nothing."""
    if not objects.is_dir():
        raise ValueError("it has no objects")
    with tempfile.TemporaryDirectory(prefix="llem-git-") as own:
        form = "" if len(commit) == 40 else "[extensions]\n\tobjectFormat = sha256\n"
        version = 0 if len(commit) == 40 else 1
        for folder in ("objects", "refs"):
            (Path(own) / folder).mkdir()
        (Path(own) / "HEAD").write_text("ref: refs/heads/none\n", encoding="ascii")
        (Path(own) / "config").write_text(
            f"[core]\n\trepositoryformatversion = {version}\n\tbare = true\n{form}", encoding="ascii"
        )
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {
            "GIT_DIR": own,
            "GIT_OBJECT_DIRECTORY": str(objects.resolve()),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }
        answer = subprocess.run(
            ["git", *arguments],
            cwd=own,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
            env=environment,
            check=False,
        )
    if answer.returncode:
        raise ValueError("git cannot read the commit")
    return answer.stdout
