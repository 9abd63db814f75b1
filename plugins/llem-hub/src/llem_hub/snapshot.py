"""A dataset's files, from the hub at one commit or from disk, read without the package `datasets`."""

from __future__ import annotations

from pathlib import Path

from llem.plugin_api import DatasetError, Prompt, buffer_of, dataset_bytes, find_field, jsonl_prompts, prompt_of

_PATTERNS = ("*.parquet", "*.jsonl")


def download(repository: str, commit: str) -> Path:
    """The folder of a dataset's Parquet and JSON Lines files; from the local cache where they are there already.

    Raises:
        DatasetError: huggingface_hub is not installed, or the hub does not give them.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise DatasetError(
            f"fetching {repository} needs the package `huggingface_hub`.",
            where="dataset.name",
            remedy="Install it (pip install 'llem[hub]'), or give a local copy with dataset.path.",
        ) from error
    try:
        folder = huggingface_hub.snapshot_download(
            repository, repo_type="dataset", revision=commit, allow_patterns=list(_PATTERNS)
        )
    except Exception as error:  # the package and its transport raise many types, each with a useful first line
        told = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DatasetError(
            f"{repository} cannot be fetched: {told}.",
            where="dataset.name",
            remedy="Check the network, or give a local copy with dataset.path.",
        ) from error
    return Path(folder)


def read_prompts(path: Path, field: str | None) -> list[Prompt]:
    """Every prompt of a Parquet or JSON Lines file, or of all such files of a folder by name (Parquet if there is any).

    Raises:
        DatasetError: nothing there can be read, or it has no usable field or an empty prompt.
    """
    if path.is_dir():
        files = next((found for pattern in _PATTERNS if (found := sorted(path.rglob(pattern)))), [])
        if not files:
            raise DatasetError(
                "this folder has no .parquet and no .jsonl file.", where=str(path), remedy="Correct dataset.path."
            )
        return [prompt for file in files for prompt in read_prompts(file, field)]
    if path.suffix == ".parquet":
        return _parquet(path, field)
    return jsonl_prompts(dataset_bytes(path), str(path), field)[0]


def _parquet(path: Path, field: str | None) -> list[Prompt]:
    import pyarrow
    import pyarrow.parquet

    raw = buffer_of(dataset_bytes(path))
    try:
        rows = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(raw)).read().to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise DatasetError(
            "this is no Parquet file, or it is cut off.", where=str(path), remedy="Download it again."
        ) from error
    if not rows:
        raise DatasetError("it has no rows.", where=str(path), remedy="Give a file that has some.")
    name = field or find_field(rows[0], f"{path}, row 0")
    return [prompt_of(row, name, f"{path}, row {i}") for i, row in enumerate(rows)]
