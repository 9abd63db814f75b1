"""A study on disk, as a library sees it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from llem.errors import ResultError
from llem.results.aggregate import PARQUET, study_table
from llem.results.models import ExperimentResult
from llem.results.store import MANIFEST, is_study, job_directories, read_object, read_result

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class Results(Sequence[ExperimentResult]):
    """The results of a study, each read from disk when it is asked for."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._directories = directories

    @overload
    def __getitem__(self, index: int) -> ExperimentResult: ...
    @overload
    def __getitem__(self, index: slice) -> Results: ...
    def __getitem__(self, index: int | slice) -> ExperimentResult | Results:
        if isinstance(index, slice):
            return Results(self._directories[index])
        return read_result(self._directories[index])

    def __len__(self) -> int:
        return len(self._directories)


class StudyResult:
    """What a study left behind.

    Args:
        directory: the study's folder, such as `results/NAME-TIMESTAMP`.

    Raises:
        ResultError: there is no study in this folder.

    Examples:
        >>> study = StudyResult("results/demo-20260101T120000Z")  # doctest: +SKIP
        >>> study.to_arrow().column("throughput.tokens_per_s")  # doctest: +SKIP
        >>> [r.energy.headline for r in study.results if r.energy]  # doctest: +SKIP
    """

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)
        if not is_study(self.directory):
            raise ResultError(
                "this is no study's folder: it has neither manifest.json nor experiments/.",
                where=str(self.directory),
                remedy="Give the folder that `llem run` named, such as results/NAME-TIMESTAMP.",
            )

    def __repr__(self) -> str:
        return f"StudyResult({str(self.directory)!r})"

    @property
    def manifest(self) -> dict[str, Any]:
        """The study's manifest as it is on disk now. Raises ResultError where it is missing or no JSON object."""
        return read_object(self.directory / MANIFEST, "manifest")

    @cached_property
    def results(self) -> Results:
        """Every result there was when this was first asked for, done and failed, each read when it is reached."""
        return Results(list(job_directories(self.directory)))

    def to_arrow(self) -> pa.Table:
        """A row for each experiment and cycle. Columns are paths in `result.json`; each field's metadata has its unit.

        Taken from `results.parquet` where that is newer than the manifest, else from the job directories.
        """
        parquet = self.directory / PARQUET
        manifest = self.directory / MANIFEST
        if parquet.is_file() and manifest.is_file() and parquet.stat().st_mtime_ns >= manifest.stat().st_mtime_ns:
            return read_parquet(parquet)
        return study_table(self.directory)

    def to_pandas(self) -> pd.DataFrame:
        """As `to_arrow`, as a pandas DataFrame. Raises ResultError where pandas is not installed."""
        try:
            import pandas  # noqa: F401 - only whether it is there
        except ImportError as error:
            raise ResultError(
                "pandas is not installed.", remedy="pip install 'llem[pandas]', or use to_arrow()."
            ) from error
        return self.to_arrow().to_pandas()


def read_parquet(path: Path) -> pa.Table:
    """Read a `results.parquet`. Raises ResultError where it is none, or of a newer schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from llem.results.models import SCHEMA_VERSION

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ResultError(
            f"it cannot be read: {' '.join(str(error).split())}.",
            where=str(path),
            remedy="It can be made anew: llem show STUDY --rebuild.",
        ) from error
    found = (table.schema.metadata or {}).get(b"llem.schema_version", b"").decode()
    if not found.isdecimal():
        raise ResultError("this Parquet file is not a results.parquet of llem.", where=str(path))
    if int(found) > SCHEMA_VERSION:
        raise ResultError(
            f"these results are of schema version {found}; this llem reads up to version {SCHEMA_VERSION}.",
            where=str(path),
            remedy="A newer llem wrote them: pip install --upgrade llem.",
        )
    return table
