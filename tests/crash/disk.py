"""Small file systems of a test's own, which can be full, fail, and lose their power. They need root and loop devices."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SHUTDOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN of Linux's fs/ext4/ext4.h."""

NO_LOG_FLUSH = 2
"""Nothing more reaches the disk: neither dirty pages nor the journal in memory. What a power loss does."""


@dataclass
class Ext4:
    """An ext4 in a file, mounted through a loop device.

    Attributes:
        image: the file.
        folder: where it is mounted.
    """

    image: Path
    folder: Path

    @classmethod
    def make(cls, root: Path, size_mb: int) -> Ext4:
        """Make and mount one below a folder. Raises RuntimeError where that is not possible here, with the reason."""
        made = cls(root / "disk.img", root / "disk")
        made.folder.mkdir(parents=True)
        with made.image.open("wb") as stream:
            stream.truncate(size_mb << 20)
        _run(["mkfs.ext4", "-q", "-m", "0", "-O", "^resize_inode", str(made.image)])
        made.mount()
        return made

    def mount(self) -> None:
        """Mount it; a file system that was cut off replays its journal."""
        _run(["mount", "-o", "loop,errors=remount-ro", str(self.image), str(self.folder)])

    def umount(self) -> None:
        """Unmount it."""
        _run(["umount", str(self.folder)])

    def lose_power(self) -> None:
        """Cut it off: every later operation fails, and what was not forced to the disk is lost."""
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(handle)

    def fail(self) -> None:
        """Have the kernel find an error in it, on which it makes it read-only, open files included."""
        device = _run(["findmnt", "-n", "-o", "SOURCE", str(self.folder)]).strip()
        Path("/sys/fs/ext4", Path(device).name, "trigger_fs_error").write_text("1")

    def repair(self) -> None:
        """Check the disk and mount it again, as an administrator does after that."""
        self.umount()
        done = subprocess.run(["e2fsck", "-fp", str(self.image)], capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), done.stdout + done.stderr
        self.mount()

    def fill(self, leave_kb: int) -> Path:
        """Fill it up to so many KiB; returns the file that does, to be taken away."""
        ballast = self.folder / "ballast"
        with ballast.open("wb") as stream:
            while True:
                room = os.statvfs(self.folder)
                left = room.f_bavail * room.f_frsize - (leave_kb << 10)
                if left <= 0:
                    break
                with suppress(OSError):  # a study that runs takes some of it meanwhile
                    os.posix_fallocate(stream.fileno(), os.fstat(stream.fileno()).st_size, left)
        return ballast


def _run(words: Sequence[str]) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise RuntimeError(f"{words[0]} is not installed here") from error
    if done.returncode != 0:
        raise RuntimeError(f"`{' '.join(words)}` ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
