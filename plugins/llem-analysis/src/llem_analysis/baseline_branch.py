"""A store of baselines in a branch of a git repository, with neither its working tree nor its index touched.

An acceptance is one commit, made of objects and an index of its own; the branch is moved to it only where it still is where it was when
the commit was made, else the commit is made again upon what another put there.
"""

from __future__ import annotations

import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from llem.plugin_api import ConfigError, ResultError, one_line
from llem_analysis.baseline_record import (
    MARKER,
    MOST_RECORD,
    RECORD,
    Record,
    StoredFile,
    is_name,
    marker_text,
    require_marker,
)
from llem_analysis.baseline_study import copied
from llem_analysis.git_commands import Git, GitError, no_git

_ATTEMPTS = 20
_NOBODY = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "llem"), ("EMAIL", "llem@localhost"))
}
"""Whose commit it is where git does not know its user, as on a forge's runner."""


class BranchStore:
    """Baselines in a branch; that of the remote `origin` where there is no local one.

    Args:
        branch: its short name.
        folder: anywhere in the repository.

    Raises:
        ConfigError: there is no git, no repository, or no branch can be called so.
    """

    def __init__(self, branch: str, folder: Path | None = None) -> None:
        self._git = Git(Path() if folder is None else folder)
        self.label = f"git:{branch}"
        self._git.run("rev-parse", "--git-dir")
        if branch.startswith("-") or self._git.ask("check-ref-format", f"refs/heads/{branch}") is None:
            raise ConfigError(
                f"`{one_line(branch, 100)}` is no name of a branch.", remedy="Name one such as git:llem-baseline."
            )
        self._branch, self._ref = branch, f"refs/heads/{branch}"

    def names(self) -> list[str]:
        """The baselines in it. Raises ResultError where it is no store."""
        with self.reading() as read:
            listed = self._git.run("ls-tree", "-z", "--name-only", self._require_commit()).decode(errors="replace")
            found = sorted(name for name in listed.split("\0") if is_name(name))
            return [name for name in found if read(f"{name}/{RECORD}", MOST_RECORD) is not None]

    @contextmanager
    def reading(self) -> Iterator[Callable[[str, int], bytes | None]]:
        """A reader of files by name and largest size, all of one commit; None where there is none. Raises as `names`."""
        with _Blobs(self._git, self._require_commit()) as blobs:
            marker = blobs.read(MARKER, MOST_RECORD)
            if marker is None:
                raise self._no_store()
            require_marker(marker, self.label)
            yield blobs.read

    def put(
        self, name: str, study: Path, files: Sequence[str], make: Callable[[str, Sequence[StoredFile]], Record]
    ) -> Record:
        """Keep these files of a study, and then, in one step, make them the baseline of this name."""
        self._require_free()
        with tempfile.TemporaryDirectory(prefix="llem-baseline-") as temporary:
            staged = Path(temporary) / "files"
            stored = [copied(study, one, staged) for one in files]
            record = make(f"study-{uuid.uuid4().hex[:16]}", stored)
            texts = {MARKER: marker_text(), f"{name}/{RECORD}": record.text()}
            for number, text in enumerate(texts.values()):
                (Path(temporary) / f"text-{number}").write_text(text, encoding="utf-8")
            sources = [*(staged / one for one in files), *(Path(temporary) / f"text-{n}" for n in range(len(texts)))]
            targets = [*(f"{name}/{record.folder}/{one}" for one in files), *texts]
            paths = "".join(f"{path}\n" for path in sources).encode()
            objects = self._git.run("hash-object", "-w", "--no-filters", "--stdin-paths", data=paths).decode().split()
            for attempt in range(_ATTEMPTS):
                index = Path(temporary) / f"index-{attempt}"
                if self._moved(name, record, dict(zip(targets, objects, strict=True)), index):
                    return record
        raise ConfigError(
            f"the branch was moved by others {_ATTEMPTS} times while this baseline was accepted.",
            where=self.label,
            remedy="Try again.",
        )

    def _moved(self, name: str, record: Record, objects: dict[str, str], index: Path) -> bool:
        """Make the commit and move the branch to it; False where another has moved it meanwhile."""
        local, parent = self._git.ask("rev-parse", "--verify", "--quiet", self._ref), self._commit()
        more, removed = {"GIT_INDEX_FILE": str(index)}, b""
        if parent is None:
            self._git.run("read-tree", "--empty", more=more)
        else:
            self._require_store(parent)
            self._git.run("read-tree", parent, more=more)
            listed = self._git.run("ls-files", "-z", "--cached", "--", f":(top,literal){name}/", more=more)
            removed = b"".join(b"0 %s\t%s\0" % (b"0" * len(parent), path) for path in listed.split(b"\0") if path)
        added = "".join(f"100644 {sha}\t{path}\0" for path, sha in objects.items()).encode()
        self._git.run("update-index", "-z", "--index-info", data=removed + added, more=more)
        tree = self._git.run("write-tree", more=more).decode().strip()
        words = ["commit-tree", tree, *(["-p", parent] if parent else []), "-m", f"Accept {record.study} as {name}"]
        known = self._git.ask("var", "GIT_COMMITTER_IDENT") and self._git.ask("var", "GIT_AUTHOR_IDENT")
        commit = self._git.run(*words, more=None if known else _NOBODY).decode().strip()
        # Where there is no such branch yet, zeros mean that there still is none.
        before = local or "0" * len(commit)
        try:
            self._git.run("update-ref", "-m", f"llem baseline accept {name}", self._ref, commit, before)
        except GitError:
            if self._git.ask("rev-parse", "--verify", "--quiet", self._ref) == local:
                raise  # nobody moved it: it is something else, such as a folder that cannot be written
            return False
        return True

    def _commit(self) -> str | None:
        for ref in (self._ref, f"refs/remotes/origin/{self._branch}"):
            if found := self._git.ask("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"):
                return found
        return None

    def _require_commit(self) -> str:
        found = self._commit()
        if found is None:
            raise ResultError(
                "there is no such branch here, nor one of origin that was fetched.",
                where=self.label,
                remedy=f"Fetch it: git fetch origin {self._branch}:{self._branch}; or make it: llem baseline accept STUDY "
                f"--store {self.label}.",
            )
        return found

    def _require_store(self, commit: str) -> None:
        with _Blobs(self._git, commit) as blobs:
            marker = blobs.read(MARKER, MOST_RECORD)
        if marker is None:
            raise self._no_store()
        require_marker(marker, self.label)

    def _require_free(self) -> None:
        """A branch that is checked out would leave a working tree behind that seems changed."""
        listed = self._git.run("worktree", "list", "--porcelain").decode(errors="replace").splitlines()
        bare = self._git.ask("rev-parse", "--is-bare-repository") == "true"
        if not bare and f"branch {self._ref}" in listed:
            raise ConfigError(
                "this branch is checked out, and its working tree would not follow.",
                where=self.label,
                remedy="Check another branch out there, or name a branch of its own for baselines.",
            )

    def _no_store(self) -> ResultError:
        return ResultError(
            f"this branch holds something else, and no baselines: it has no {MARKER}.",
            where=self.label,
            remedy="Name a branch of its own; the first baseline that is accepted makes it.",
        )


class _Blobs:
    """The files of one commit, read by one process of git."""

    def __init__(self, git: Git, commit: str) -> None:
        self._commit, self._label = commit, f"commit {commit[:12]}"
        try:
            self._process = subprocess.Popen(
                git.arguments(["cat-file", "--batch"]),
                env=git.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise no_git(error) from error

    def __enter__(self) -> _Blobs:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def read(self, name: str, most: int) -> bytes | None:
        """The content of a file; None where there is none. Raises ResultError where it is larger, or cannot be read."""
        asking, answering = self._process.stdin, self._process.stdout
        assert asking is not None
        assert answering is not None
        try:
            asking.write(f"{self._commit}:{name}\n".encode())
            asking.flush()
            head = answering.readline().split()
        except OSError as error:
            raise self._unreadable(name) from error
        if head[-1:] == [b"missing"]:
            return None
        if len(head) != 3 or head[1] != b"blob":
            raise self._unreadable(name)
        size = int(head[2])
        if size > most:
            raise ResultError(f"`{name}` is larger than it can be: {size:,} bytes.", where=self._label)
        data = answering.read(size + 1)
        if len(data) != size + 1:
            raise self._unreadable(name)
        return data[:-1]

    def _unreadable(self, name: str) -> ResultError:
        return ResultError(
            f"git cannot read `{name}`.",
            where=self._label,
            remedy="`git fsck` says what is damaged; fetch the branch again.",
        )
