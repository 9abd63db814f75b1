"""The content of a disk after a power loss at any instant of a run, from the record of that run (see crash.c).

Only what was forced to the disk is there. Of a file's content that is what it held at its last fsync; one that never had
any is empty. Of a folder's entries it is what POSIX promises, those of the folder's last fsync, or what journalling file
systems keep besides, all changes in order.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

Entries = dict[str, int]
"""The content of a folder: name to number of a file or folder."""


@dataclass
class Disk:
    """A disk on which a record is played.

    Attributes:
        root: the folder that the record is of; it was there before.
        folders: by number, what processes see of each folder; the root has number 0.
        kept: by number, what stands of it on the disk.
        content: by number of a file, the copy of what it held at its last fsync.
    """

    root: Path
    folders: dict[int, Entries] = field(default_factory=lambda: {0: {}})
    kept: dict[int, Entries] = field(default_factory=lambda: {0: {}})
    content: dict[int, Path] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def play(self, what: str, path: Path, more: str) -> None:
        """Do one operation of a record. One on a file without a name, which nobody finds again, is passed over."""
        number = self._number(path)
        match what:
            case "create" | "create-empty":
                if number is None:
                    self._folder(path)[path.name] = next(self._numbers)
                elif what == "create-empty":
                    self.content.pop(number, None)
            case "mkdir":
                made = self._folder(path)[path.name] = next(self._numbers)
                self.folders[made], self.kept[made] = {}, {}
            case "unlink":
                self._folder(path).pop(path.name, None)
            case "link" | "rename":
                assert number is not None
                target = Path(more)
                self._folder(target)[target.name] = number
                if what == "rename":
                    del self._folder(path)[path.name]
            case "fsync":
                if number is not None:
                    self.content[number] = Path(more)
            case "syncdir":
                if number is not None:
                    self.kept[number] = dict(self.folders[number])
            case "truncate" | "write":
                pass  # nothing of it is on the disk yet
            case _:
                raise ValueError(what)

    def _number(self, path: Path) -> int | None:
        if path == self.root:
            return 0
        above = self._number(path.parent) if self.root in path.parents else None
        return None if above is None else self.folders.get(above, {}).get(path.name)

    def _folder(self, path: Path) -> Entries:
        """The entries of the folder that something is in."""
        number = self._number(path.parent)
        assert number is not None, path
        return self.folders[number]

    def lose_power(self, target: Path, *, names_in_order: bool) -> None:
        """Put what is left into the folder `target`, which is made anew.

        Args:
            names_in_order: changes of folders were kept in order; else only those that a folder's fsync forced.
        """
        shutil.rmtree(target, ignore_errors=True)
        self._restore(0, self.folders if names_in_order else self.kept, target)

    def _restore(self, number: int, folders: dict[int, Entries], target: Path) -> None:
        target.mkdir(parents=True)
        for name, inside in folders[number].items():
            if inside in folders:
                self._restore(inside, folders, target / name)
            elif inside in self.content:
                shutil.copyfile(self.content[inside], target / name)
            else:
                (target / name).touch()


def operations(record: Path) -> Iterator[tuple[str, str, Path, str]]:
    """The operations of a record in order: role, what, path, and the target or copy that belongs to it."""
    for line in (record / "log").read_text().splitlines():
        role, what, path, more = line.split("\t")
        yield role, what, Path(path), more


def instants(record: Path, disk: Disk) -> Iterator[tuple[int, str]]:
    """Play a record; yields after each operation that can change what is on the disk: its number, and what it was."""
    for number, (role, what, path, more) in enumerate(operations(record), start=1):
        disk.play(what, path, more)
        if what not in ("write", "truncate"):
            yield number, f"{role}: {what} {path.name}"
