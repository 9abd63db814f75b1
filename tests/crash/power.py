"""What a disk holds after a power loss at any instant of a run, from the record of that run (see crash.c).

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


@dataclass
class Disk:
    """A disk on which a record is played.

    Attributes:
        names: what processes see: path to number of a file, None for a folder.
        kept: the same as it stands on the disk.
        content: by number of a file, the copy of what it held at its last fsync.
    """

    names: dict[Path, int | None] = field(default_factory=dict)
    kept: dict[Path, int | None] = field(default_factory=dict)
    content: dict[int, Path] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def play(self, what: str, path: Path, more: str) -> None:
        """Do one operation of a record."""
        match what:
            case "create" | "create-empty":
                if path not in self.names:
                    self.names[path] = next(self._numbers)
                elif what == "create-empty":
                    number = self.names[path]
                    assert number is not None
                    self.content.pop(number, None)
            case "link":
                self.names[Path(more)] = self.names[path]
            case "mkdir":
                self.names[path] = None
            case "unlink":
                del self.names[path]
            case "rename":
                self._rename(path, Path(more))
            case "fsync":
                number = self.names[path]
                assert number is not None
                self.content[number] = Path(more)
            case "syncdir":
                self.kept = {p: n for p, n in self.kept.items() if p.parent != path}
                self.kept |= {p: n for p, n in self.names.items() if p.parent == path}
            case "truncate" | "write":
                pass  # nothing of it is on the disk yet
            case _:
                raise ValueError(what)

    def _rename(self, path: Path, target: Path) -> None:
        moved = {p: n for p, n in self.names.items() if p == path or path in p.parents}
        gone = {p for p in self.names if p == target or target in p.parents}
        self.names = {p: n for p, n in self.names.items() if p not in moved and p not in gone}
        self.names |= {target / p.relative_to(path): n for p, n in moved.items()}

    def lose_power(self, root: Path, target: Path, *, names_in_order: bool) -> None:
        """Put what is left below `root` into the folder `target`, which is made anew.

        Args:
            names_in_order: changes of folders were kept in order; else only those that a folder's fsync forced.
        """
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        names = self.names if names_in_order else self.kept
        for path in sorted(set(names) - {root}):
            place = target / path.relative_to(root)
            if not place.parent.is_dir():
                continue  # its folder is not there itself
            number = names[path]
            if number is None:
                place.mkdir()
            elif number in self.content:
                shutil.copyfile(self.content[number], place)
            else:
                place.touch()


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
