"""An engine on a server, in the test's own process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llem.config.compose import Composer
from llem.plugins import default_registry
from llem.specs.backend import LoadContext, LoadReport, Request, RequestRecord
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_openai.engine import OpenaiEngine


@contextmanager
def engine_on(
    address: str, openai: dict[str, Any] | None = None, job_dir: Path | None = None, **sections: Any
) -> Iterator[tuple[OpenaiEngine, LoadReport]]:
    """A loaded engine; the section `openai`, the folder for its logs, and further sections of the study."""
    document = {"model": "small", "backend": "openai", "openai": {"base_url": address, **(openai or {})}, **sections}
    engine = OpenaiEngine()
    try:
        config = Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose(document)
        folder = str(job_dir) if job_dir is not None else None
        yield (
            engine,
            engine.load(LoadContext(config=config, base_dir=str(Path.cwd()), progress=lambda _: None, job_dir=folder)),
        )
    finally:
        engine.close()


def ask(engine: OpenaiEngine, **fields: Any) -> RequestRecord:
    """The record of one request: eight tokens, of natural length, unless fields say otherwise."""
    asked = {"id": 0, "output_tokens": 8, "prompt": "Where do rivers go?", "ignore_eos": False} | fields
    (record,) = engine.generate([Request(**asked)])
    return record
