"""A study on disk, as a library sees it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from llem.errors import ResultError
from llem.results.models import ExperimentResult
from llem.results.stamps import stamps
from llem.results.store import MANIFEST, read_object, read_result
from llem.results.table import StudyTable, require_study

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class Results(Sequence[ExperimentResult]):
    """The results of a study, each read from disk when it is asked for.

    Args:
        study_dir: the study's folder.
        names: job directories, relative to it.
    """

    def __init__(self, study_dir: Path, names: Sequence[str]) -> None:
        self._study_dir, self._names = study_dir, names

    @overload
    def __getitem__(self, index: int) -> ExperimentResult: ...
    @overload
    def __getitem__(self, index: slice) -> Results: ...
    def __getitem__(self, index: int | slice) -> ExperimentResult | Results:
        if isinstance(index, slice):
            return Results(self._study_dir, self._names[index])
        return read_result(self._study_dir / self._names[index])

    def __len__(self) -> int:
        return len(self._names)


class StudyResult:
    """The results and the manifest that a study left behind.

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
        require_study(self.directory)

    def __repr__(self) -> str:
        return f"StudyResult({str(self.directory)!r})"

    def _repr_html_(self) -> str:
        """The display in a notebook: the first experiments with their figures, and what to know of all."""
        from llem.results.notebook import shown

        return shown("study_html", self)

    @property
    def manifest(self) -> dict[str, Any]:
        """The study's manifest as it is on disk now. Raises ResultError where it is missing or no JSON object."""
        return read_object(self.directory / MANIFEST, "manifest")

    @cached_property
    def results(self) -> Results:
        """Every result there was when this was first asked for, done and failed, each read when it is reached."""
        return Results(self.directory, sorted(stamps(self.directory)))

    @property
    def columns(self) -> list[str]:
        """Names of the columns of `to_arrow`."""
        return StudyTable(self.directory).columns

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """A row for each experiment and cycle. Columns are paths in `result.json`; each field's metadata has its unit.

        It holds what is on disk now: rows of `results.parquet` whose result did not change since, the others from their job
        directories.

        Args:
            columns: only these, as far as there are such; a large study is read much faster so.
        """
        return StudyTable(self.directory).read(columns)

    def to_pandas(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """As `to_arrow`, as a pandas DataFrame. Raises ResultError where pandas is not installed."""
        try:
            import pandas  # noqa: F401 - only whether it is there
        except ImportError as error:
            raise ResultError(
                "pandas is not installed.", remedy="pip install 'llem[pandas]', or use to_arrow()."
            ) from error
        return self.to_arrow(columns).to_pandas()
