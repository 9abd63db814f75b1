"""A bundle's study made ready to run here, and a run of it judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.plugin_api import Registry, ResultError
from llem_bundle.container import BundleError
from llem_bundle.listing import Listed
from llem_bundle.replica import Replica, prepare_replica
from llem_bundle.replica_study import original_of
from llem_bundle.unlike_here import UnlikeHere, unlike_here
from llem_bundle.verifying import Verification, readable, unpacked, verify_files

if TYPE_CHECKING:
    from llem_analysis import Replication


@dataclass(frozen=True)
class Ready:
    """A study that is ready to run.

    Attributes:
        files: the bundle's, as its listing told them.
    """

    files: Sequence[Listed]
    verification: Verification
    replica: Replica
    unlike: UnlikeHere

    def only_results(self) -> Path:
        """The folder of the study that ran in it. Raises ResultError where none did."""
        found = sorted(self.replica.results.iterdir()) if self.replica.results.is_dir() else []
        if not found:
            raise ResultError("nothing has run in it.", where=str(self.replica.results))
        return found[-1]

    def document(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "folder": str(self.replica.folder),
            "study": str(self.replica.study),
            "differs_here": list(self.unlike.told),
            "packages_differ_here": list(self.unlike.packages),
            "notes": list(self.replica.notes),
        }


def ready(bundle: Path, folder: Path, registry: Registry, data: Path | None) -> Ready:
    """Verify a bundle and make its study ready to run in a new folder.

    Raises:
        BundleError: it is none, was changed, or a figure of it is not what its raw data give.
        LlemError: as `prepare_replica`.
    """
    with unpacked(bundle) as (files_at, files):
        verification = _verified(bundle, files_at, files)
        with readable(bundle, "study.json"):
            original = original_of(files_at)
        unlike = unlike_here(original, bundle, registry)
        replica = prepare_replica(original, bundle, files_at, folder, registry, data)
    return Ready(files, verification, replica, unlike)


def judge(
    bundle: Path, results: Path, metrics: Sequence[str] | None, margin: float, prepared: Ready | None
) -> tuple[Replication, dict[str, Any]]:
    """Judge a study that was run, and tell what verification of the bundle found.

    Args:
        prepared: from which it ran, where it did so just now; the bundle is then verified already.

    Raises:
        BundleError: as `ready`, or it is another than was prepared.
        LlemError: the results cannot be read or matched.
    """
    from llem_analysis import replication

    with unpacked(bundle) as (files_at, files):
        if prepared is not None and files != prepared.files:
            raise BundleError("it was replaced by another while its study ran.", where=str(bundle))
        verification = _verified(bundle, files_at, files) if prepared is None else prepared.verification
        try:
            found = replication(files_at, results, metrics, margin=margin)
        except ResultError as error:
            if str(files_at) not in str(error.where):
                raise
            raise BundleError(error.what, where=str(bundle), remedy=error.remedy) from error
    counts = {verdict: len(verification.of(verdict)) for verdict in ("equal", "differs", "not_verified")}
    return found, {"verified": counts}


def _verified(bundle: Path, files_at: Path, files: Sequence[Listed]) -> Verification:
    verification = verify_files(bundle, files_at, files)
    if differing := verification.of("differs"):
        names = ", ".join(dict.fromkeys(one.name for one in differing))
        raise BundleError(
            f"{len(differing)} of its figures are not what its raw data give ({names}), so there is nothing to replicate.",
            where=str(bundle),
            remedy="llem verify lists them; ask who made it.",
        )
    return verification
