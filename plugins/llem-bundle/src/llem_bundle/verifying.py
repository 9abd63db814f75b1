"""A bundle held against itself: first each byte of the archive, then each headline figure."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.plugin_api import EXPERIMENTS, REQUESTS, RESULT, TIMESERIES, ResultError
from llem_bundle.check_experiment import check_experiment
from llem_bundle.check_means import check_means
from llem_bundle.container import BundleError, unpack
from llem_bundle.figures import Figure, Verdict
from llem_bundle.listing import Listed


@dataclass(frozen=True)
class Verification:
    """The outcome for a bundle.

    Attributes:
        files: in the bundle; experiments: with a result.
        figures: all that were looked at.
    """

    bundle: Path
    files: int
    experiments: int
    series: int
    figures: Sequence[Figure]

    def of(self, verdict: Verdict) -> list[Figure]:
        """Figures of this verdict."""
        return [one for one in self.figures if one.verdict == verdict]

    @property
    def exit_code(self) -> int:
        """1 where a figure differs."""
        return int(bool(self.of("differs")))

    def document(self) -> dict[str, Any]:
        """As plain data."""
        counts = {verdict: len(self.of(verdict)) for verdict in ("equal", "differs", "not_verified")}
        return {
            "bundle": str(self.bundle),
            "files": self.files,
            "experiments": self.experiments,
            "counts": counts,
            "figures": [one.document() for one in self.figures],
        }


def verify_bundle(path: Path) -> Verification:
    """Verify a bundle. It is unpacked into a temporary folder, which is removed.

    Raises:
        BundleError: a byte of it is another than was written, or it is none.
        ResultError: a file of it is as it was bundled, and yet nothing that llem can read.
    """
    with unpacked(path) as (folder, files):
        return verify_files(path, folder, files)


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[Path, Sequence[Listed]]]:
    """A temporary folder with the files of a bundle, each byte as it was bundled, and what its listing says of them.

    Raises BundleError.
    """
    with tempfile.TemporaryDirectory(prefix="llem-verify-") as made:
        folder = Path(made)
        try:
            files = unpack(path, folder)
        except FileNotFoundError as error:
            raise BundleError("there is no bundle here.", where=str(path)) from error
        except OSError as error:
            if error.filename in (path, str(path)):
                raise BundleError(f"it cannot be read: {error.strerror or error}.", where=str(path)) from error
            raise BundleError(
                f"it cannot be unpacked into {folder.parent}: {error.strerror or error}.",
                where=str(path),
                remedy="Make room there, or set TMPDIR to another folder.",
            ) from error
        yield folder, files


def verify_files(path: Path, folder: Path, files: Sequence[Listed]) -> Verification:
    """Verify the figures of a bundle that is unpacked. Raises as `verify_bundle`."""
    names = [one.name for one in files]
    jobs = [
        name.rpartition("/")[0] for name in names if name.startswith(f"{EXPERIMENTS}/") and name.endswith(f"/{RESULT}")
    ]
    figures: list[Figure] = []
    for job in jobs:
        with readable(path, f"{job}/"):
            figures += check_experiment(folder / job, job)
    with readable(path, "summary.json"):
        figures += check_means(folder)
    series = sum(name.endswith((f"/{TIMESERIES}", f"/{REQUESTS}")) for name in names)
    return Verification(path, len(files) + 1, len(jobs), series, figures)


@contextmanager
def readable(path: Path, name: str) -> Iterator[None]:
    """Turn whatever a file of the bundle is wrong with into one paragraph: its bytes are as bundled, and may be anybody's.

    Args:
        name: of the file, or of the folder that it is in, with a stroke.
    """
    try:
        yield
    except BundleError:
        raise
    except ResultError as error:
        of = f"{name}{Path(error.where or '').name}" if name.endswith("/") else Path(error.where or name).name
        raise BundleError(f"`{of}`: {error.what}", where=str(path), remedy=error.remedy) from error
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, OSError) as error:
        raise BundleError(f"`{name}` is not as llem writes it: {error}.", where=str(path)) from error
