"""The look at a node before a study. It goes there as its source, and so needs the standard library only."""

from __future__ import annotations

from typing import Any


def visit(question: dict[str, Any]) -> dict[str, Any]:
    """Look at the node that this runs on.

    Args:
        question: `distributions` whose versions are asked, `backends` that must be registered, `plugins` that must be too
            (word of the kind and name of each), `paths` and `packages` that must be there, `storage` as URL or None, `mark`: a
            name to write there.

    Returns:
        `python`, `versions` (None for what is missing), `backends`: name to None, or what is wrong with it; `lacking`: of the
        plugins; `aside`: those that do not work, with the reason; `absent`: of the paths and packages; `storage`: what is wrong
        with it, or None.
    """
    import importlib.metadata
    import importlib.util
    import pathlib
    import platform

    versions: dict[str, str | None] = {}
    for name in question["distributions"]:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    backends: dict[str, str | None] = {}
    lacking: list[list[str]] = []
    aside: list[str] = []
    try:
        from llem.plugin_api import BACKENDS, DATASETS, SAMPLERS, SCENARIOS, Registry, missing_requirements

        registry = Registry()
        known = registry[BACKENDS]
        for name in question["backends"]:
            if name not in known:
                backends[name] = "it is not installed"
                continue
            missing = missing_requirements(known[name].requires)
            backends[name] = f"it needs {', '.join(missing)}, which is not installed" if missing else None
        kinds: dict[str, Any] = {kind.word: kind for kind in (SCENARIOS, DATASETS, SAMPLERS)}
        lacking = [[word, name] for word, name in question["plugins"] if name not in registry[kinds[word]]]
        aside = [f"{plugin.label}: {plugin.set_aside}" for plugin in registry.plugins() if plugin.set_aside]
    except Exception as error:  # noqa: BLE001 - a broken installation is an answer
        backends = dict.fromkeys(question["backends"], f"llem cannot be imported: {type(error).__name__}: {error}")
    absent = [path for path in question["paths"] if not pathlib.Path(path).exists()]
    absent += [f"package {name}" for name in question["packages"] if importlib.util.find_spec(name) is None]
    trouble = None
    if question["storage"] is not None:
        try:
            import fsspec

            system, base = fsspec.core.url_to_fs(question["storage"])
            system.makedirs(base, exist_ok=True)
            with system.open(f"{base}/{question['mark']}", "wb") as stream:
                stream.write(b"llem")
        except Exception as error:  # noqa: BLE001 - whatever a storage raises is the answer
            trouble = f"{type(error).__name__}: {error}"
    return {
        "python": platform.python_version(),
        "versions": versions,
        "backends": backends,
        "lacking": lacking,
        "aside": aside,
        "absent": absent,
        "storage": trouble,
    }
