"""The build context of an image: a folder that a Docker client, `docker buildx bake` or any other builder can build."""

from __future__ import annotations

import shutil
from pathlib import Path

from llem.plugin_api import ConfigError
from llem_docker.images import sbom
from llem_docker.images.recipe import Recipe
from llem_docker.images.wheels import wheel_of


def write_context(recipe: Recipe, folder: Path, wheelhouse: Path | None = None) -> Path:
    """Bring the build context of a recipe together.

    Args:
        recipe: of the backend.
        folder: an empty or new folder.
        wheelhouse: a folder of wheels that pip uses besides its index, such as a torch of one's own; or None.

    Returns:
        The folder, with `Dockerfile`, `entrypoint.sh`, `sbom.py`, `llem/` and `wheelhouse/`.

    Raises:
        ConfigError: the folder holds something already, or the wheelhouse is none.
        PluginError: llem or the backend's distribution cannot be made into a wheel.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError("the build context needs a folder of its own.", where=str(folder), remedy="Name a new one.")
    if wheelhouse is not None and not any(wheelhouse.glob("*.whl")):
        raise ConfigError("there is no wheel in this folder.", where=str(wheelhouse))
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(recipe.folder / "Dockerfile", folder / "Dockerfile")
    shutil.copyfile(recipe.folder / "entrypoint.sh", folder / "entrypoint.sh")
    shutil.copyfile(sbom.__file__, folder / "sbom.py")
    llem, house = folder / "llem", folder / "wheelhouse"
    llem.mkdir()
    house.mkdir()
    (house / "README").write_text("Wheels that pip looks at besides its index.\n", encoding="utf-8")
    for name in ("llem", recipe.distribution):
        wheel_of(name, llem)
    for wheel in sorted(wheelhouse.glob("*.whl")) if wheelhouse else ():
        _link_or_copy(wheel, house / wheel.name)
    return folder


def _link_or_copy(source: Path, target: Path) -> None:
    """Wheels of torch are large: linked where the file system can."""
    try:
        target.hardlink_to(source.resolve())
    except OSError:
        shutil.copyfile(source, target)
