"""Builds an image from its context, by whichever Docker client is there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from llem.plugin_api import ConfigError, LlemError, PreflightError
from llem_docker.images.recipe import Recipe

PIP_SECRET = "pip"
CA_SECRET = "ca"


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """Departures from the recipe, and this machine's needs in order to build.

    Attributes:
        target: `cuda` or `cpu`.
        tag: of the image; None for the backend's.
        base: the image to start from; None for the recipe's.
        engine_version: None for the recipe's.
        cuda: the CUDA version that the engine is built for; None for the recipe's.
        arguments: further arguments of the Dockerfile.
        pip_conf: a pip.conf for the build alone; ca: certificates that pip trusts while it builds. Neither gets into a layer.
        network: the network of build steps, such as `host`; None for Docker's default.
        cache: use layers of earlier builds; pull: look for a newer base.
    """

    target: str
    tag: str | None = None
    base: str | None = None
    engine_version: str | None = None
    cuda: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    pip_conf: Path | None = None
    ca: Path | None = None
    network: str | None = None
    cache: bool = True
    pull: bool = False


def tag_of(recipe: Recipe, options: BuildOptions) -> str:
    """The reference that the build gives its image. Raises ConfigError where the backend names none and none is given."""
    return options.tag or recipe.tag(options.target, options.engine_version, options.cuda)


def arguments_of(recipe: Recipe, options: BuildOptions) -> dict[str, str]:
    """The Dockerfile's arguments for these options. Raises ConfigError for one that it does not have."""
    declared = recipe.declared()
    wanted = {
        recipe.base_argument(options.target): ("--base", options.base),
        "ENGINE_VERSION": ("--engine-version", options.engine_version),
        "CUDA_VERSION": ("--cuda", options.cuda),
        **{name: (f"--build-arg {name}", value) for name, value in options.arguments.items()},
    }
    found = {"TARGET": options.target} if "TARGET" in recipe.arguments else {}
    found["CREATED"] = datetime.now(UTC).isoformat(timespec="seconds")
    for name, (option, value) in wanted.items():
        if value is None:
            continue
        if name not in declared:
            raise ConfigError(
                f"{option} changes nothing: the Dockerfile of {recipe.backend} has no argument `{name}`; "
                f"it has: {', '.join(declared)}."
            )
        found[name] = value
    return found


def build(recipe: Recipe, context: Path, options: BuildOptions, client: str | None = None) -> str:
    """Build the image; the client's own output goes to the terminal.

    Args:
        recipe: of the backend.
        context: what `write_context` made.
        options: see there.
        client: the Docker client; None for the first on the PATH that can build it.

    Returns:
        The image's reference.

    Raises:
        ConfigError: an option names something that is not there.
        PreflightError: no client, or one that cannot build with BuildKit.
        LlemError: the build failed; its output says why.
    """
    tag = tag_of(recipe, options)
    start = builder(client)
    command = [*start, *_words(recipe, options), "--tag", tag, str(context)]
    done = subprocess.run(command, env={**os.environ, "DOCKER_BUILDKIT": "1"}, check=False)
    if done.returncode:
        raise LlemError(
            f"the image {tag} was not built: the client ended with exit code {done.returncode}.",
            remedy=f"Its output above names the step. The command was: {shlex.join(command)}",
        )
    return tag


def _words(recipe: Recipe, options: BuildOptions) -> list[str]:
    words: list[str] = []
    for name, value in arguments_of(recipe, options).items():
        words += ["--build-arg", f"{name}={value}"]
    for secret, file in ((PIP_SECRET, options.pip_conf), (CA_SECRET, options.ca)):
        if file is not None:
            if not file.is_file():
                raise ConfigError("there is no such file.", where=str(file))
            words += ["--secret", f"id={secret},src={file.resolve()}"]
    if options.network:
        words += ["--network", options.network]
    if not options.cache:
        words.append("--no-cache")
    if options.pull:
        words.append("--pull")
    return words


def builder(client: str | None) -> Sequence[str]:
    """The command that builds with BuildKit: buildx where the client has it, else the one within clients before 23.

    Args:
        client: the Docker client; None for the first on the PATH that can.

    Raises:
        PreflightError: there is no such client, or none that has either.
    """
    told = ""
    for candidate in [client] if client else _on_path():
        if _answer([candidate, "buildx", "version"]) is not None:
            return [candidate, "buildx", "build", "--load"]
        version = _answer([candidate, "--version"])
        found = re.search(r"version (\d+)\.", version or "")
        if found and int(found[1]) < 23:
            return [candidate, "build"]
        told = told or (version or "").strip()
    if told:
        raise PreflightError(
            f"{told} cannot build this image: its plugin buildx is missing.",
            remedy="Install it (apt-get install docker-buildx, or docker-buildx-plugin from Docker's packages), or name another client with --client.",
        )
    raise PreflightError(
        f"there is no Docker client{f' `{client}`' if client else ' on the PATH'}.",
        remedy="Install one (Debian and Ubuntu: apt-get install docker.io docker-buildx), or name it with --client.",
    )


def _on_path() -> list[str]:
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return [found for folder in folders if (found := shutil.which("docker", path=folder))]


def _answer(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
