"""The forms that llem-exporters registers, each as `llem export` calls it."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from llem.plugin_api import Exported
from llem_exporters.source import Source


def csv(source: Source, stream: IO[str]) -> Exported:
    """Every run, a line each."""
    from llem_exporters.tables import write_csv

    write_csv(source, stream)
    return Exported(count=len(source.rows))


def parquet(source: Source, path: Path) -> Exported:
    """Every run, with units."""
    from llem_exporters.tables import write_parquet

    write_parquet(source, path)
    return Exported(count=len(source.rows))


def latex(source: Source, stream: IO[str]) -> Exported:
    """A table of configurations."""
    from llem_exporters.latex import latex_table

    stream.write(latex_table(source))
    return Exported(count=len(source.rows))


def aienergyscore(source: Source, folder: Path) -> Exported:
    """Files of AIEnergyScore's, a folder for each configuration."""
    from llem_exporters.aienergyscore import write_aienergyscore

    count, left_out = write_aienergyscore(source, folder)
    return Exported(count=count, what="configurations", left_out=left_out)


def ml_energy(source: Source, folder: Path) -> Exported:
    """The folder that ML.ENERGY's reader takes."""
    from llem_exporters.ml_energy.folder import write_ml_energy

    count, left_out = write_ml_energy(source, folder)
    return Exported(count=count, left_out=left_out)


def mlflow(source: Source, address: str | None) -> Exported:
    """Runs in an MLflow store."""
    from llem_exporters.mlflow_runs import log_mlflow

    store, count = log_mlflow(source, address)
    return Exported(count=count, address=store)
