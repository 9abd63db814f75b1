"""The build context of an image: a folder that a Docker client, `docker buildx bake` or any other builder can build."""

from __future__ import annotations

import shutil
from pathlib import Path

from llem.plugin_api import ConfigError, PluginError
from llem_docker.images.recipe import SHARED, Recipe, dockerfile_of
from llem_docker.images.wheels import wheel_of

_OURS = ("shared", "llem", "wheelhouse")
"""Folders of a context that are not the backend's."""


def write_context(recipe: Recipe, folder: Path, wheelhouse: Path | None = None) -> Path:
    """Bring the build context of a recipe together.

    Args:
        recipe: of the backend.
        folder: an empty or new folder.
        wheelhouse: a folder of wheels that pip uses besides its index, such as a torch of one's own; or None.

    Returns:
        The folder, with `Dockerfile`, the other files of the backend's `image/`, `shared/`, `llem/` and `wheelhouse/`.

    Raises:
        ConfigError: the folder holds something already, or the wheelhouse is none.
        PluginError: llem or the backend's distribution cannot be made into a wheel, or `image/` has a folder of a name that
            is taken.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError("the build context needs a folder of its own.", where=str(folder), remedy="Name a new one.")
    if wheelhouse is not None and not any(wheelhouse.glob("*.whl")):
        raise ConfigError("there is no wheel in this folder.", where=str(wheelhouse))
    if taken := [name for name in _OURS if (recipe.folder / name).exists()]:
        raise PluginError(
            f"the backend `{recipe.backend}` brings `image/{taken[0]}`, a name that llem's own part of the build context has.",
            where=str(recipe.folder),
            remedy="Its author calls it otherwise.",
        )
    no_code = shutil.ignore_patterns("__pycache__", "__init__.py")
    shutil.copytree(recipe.folder, folder, dirs_exist_ok=True, ignore=no_code)
    shutil.copytree(
        SHARED, folder / "shared", ignore=shutil.ignore_patterns("__pycache__", "__init__.py", "Dockerfile.last")
    )
    (folder / "Dockerfile").write_text(dockerfile_of(recipe), encoding="utf-8")
    llem, house = folder / "llem", folder / "wheelhouse"
    llem.mkdir()
    house.mkdir()
    (house / "README").write_text("Wheels that pip looks at besides its index.\n", encoding="utf-8")
    for name in recipe.installed:
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
