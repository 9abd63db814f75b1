"""`llem images`: build, list and pull."""

from __future__ import annotations

import json
import tempfile
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llem.plugin_api import NOTHING, ConfigError, LlemError, table

if TYPE_CHECKING:
    from llem.plugin_api import Registry
    from llem_docker.images.inventory import Image

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_target = click.option(
    "--target",
    type=click.Choice(["cuda", "cpu"]),
    help="The kind of machine it is for: cuda, with an NVIDIA GPU, or cpu; by default as this one is.",
)


@click.group()
def images() -> None:
    """Images that containers start from: build, list, pull.

    A backend brings the recipe of its image in its package, and names the image; all commands here, and a run, go by that
    name. What is built here holds llem and the backend's plugin as they are installed here.

    \b
    Examples:
      llem images list
      llem images build vllm
      llem images pull vllm
    """


@images.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def list_images(registry: Registry, as_json: bool) -> None:
    """List the images of installed backends, here or not, and every other image here that llem built.

    \b
    Examples:
      llem images list
      llem images list --json | jq -r '.images[] | select(.present) | .reference'
    """
    from llem_docker.daemon import DockerDaemon
    from llem_docker.images import labels
    from llem_docker.images.inventory import inventory
    from llem_docker.images.names import all_names

    unreachable = None
    local = []
    names = all_names(registry)
    try:
        with closing(DockerDaemon(registry)) as daemon, daemon.answering():
            local = [image.attrs for image in daemon.client.images.list(filters={"label": labels.BACKEND})]
            # One that is built without llem's labels has the name all the same.
            named = (daemon.attributes(name) for images in names.values() for name in images.values())
            local += [attributes for attributes in named if attributes is not None]
    except LlemError as error:
        unreachable = error
    found = list(inventory(names, local))
    if as_json:
        entries = [{**asdict(image), "present": None if unreachable else image.present} for image in found]
        click.echo(json.dumps({"images": entries}, ensure_ascii=False, indent=1))
    else:
        click.echo(_listing(found, known=unreachable is None))
    if unreachable:
        click.echo(f"llem: what is here is not known: {unreachable}", err=True)


def _listing(found: list[Image], *, known: bool) -> str:
    rows = [
        [
            image.backend,
            image.target,
            image.reference,
            ("yes" if image.present else "no") if known else "?",
            image.llem_version or NOTHING,
            f"{image.engine} {image.engine_version}" if image.engine else NOTHING,
            image.cuda or NOTHING,
            NOTHING if image.size_mb is None else f"{image.size_mb:,.0f}",
        ]
        for image in found
    ]
    return table(["backend", "for", "image", "here", "llem", "engine", "CUDA", "MiB"], rows, left=6)


@images.command()
@click.argument("backends", nargs=-1)
@_target
@click.option("--image", "references", multiple=True, help="An image by its own name, instead of a backend's.")
@click.pass_obj
def pull(registry: Registry, backends: tuple[str, ...], target: str | None, references: tuple[str, ...]) -> None:
    """Pull the images of these backends, or of all that are installed.

    A run pulls what it needs by itself; this does it before, and tells why it does not work.

    \b
    Examples:
      llem images pull vllm
      llem images pull vllm pytorch --target cpu
    """
    from llem.plugin_api import BACKENDS
    from llem_containers.gpus import target_here
    from llem_containers.names import name_of
    from llem_docker.daemon import DockerDaemon
    from llem_docker.images.names import all_names
    from llem_docker.images.pull import pull as pull_image

    wanted = list(references)
    if backends or not references:
        kind = target or target_here()
        for spec in (registry.find(BACKENDS, name) for name in backends or all_names(registry)):
            name = name_of(spec.image, spec.cpu_image, kind)
            if name is None and backends:
                raise ConfigError(
                    f"the backend `{spec.name}` names no image for the target `{kind}`.",
                    remedy="Name one with --image.",
                )
            wanted += [name] if name is not None else []
    if not wanted:
        raise ConfigError("no installed backend names an image.", remedy="Name one with --image.")
    with closing(DockerDaemon(registry)) as daemon:
        for reference in wanted:
            click.echo(f"pulling {reference}", err=True)
            identity = pull_image(daemon, reference, lambda line: click.echo(f"  {line}", err=True))
            click.echo(f"{reference} {identity}")


@images.command()
@click.argument("backend")
@_target
@click.option("--tag", help="Name of the image, instead of the backend's, which a run looks for by default.")
@click.option("--base", metavar="IMAGE", help="Start from this image (Debian or Ubuntu), instead of the recipe's.")
@click.option("--engine-version", metavar="VERSION", help="Version of the engine, instead of the recipe's.")
@click.option("--cuda", metavar="VERSION", help="CUDA that this engine version is built for, where it is another.")
@click.option("--wheelhouse", type=_FOLDER, help="Wheels that pip looks at besides its index.")
@click.option(
    "--pip-conf", type=_FILE, help="A pip.conf for the build (index, mirror, credentials); stays out of the image."
)
@click.option("--ca", type=_FILE, help="Certificates that pip trusts in the build; stays out of the image.")
@click.option("--network", help="Network of the build's steps, such as host.")
@click.option("--build-arg", "build_args", metavar="NAME=VALUE", multiple=True, help="An argument of the Dockerfile.")
@click.option("--no-cache", is_flag=True, help="Use no layer of an earlier build.")
@click.option("--pull", "pull_base", is_flag=True, help="Look for a newer base.")
@click.option(
    "--client",
    envvar="DOCKER_CLI",
    help="The Docker client (also DOCKER_CLI); by default the first on the PATH that has BuildKit.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["docker", "sif"]),
    default="docker",
    show_default=True,
    help="Keep the image in the Docker engine, or also write it to a SIF file, by Apptainer.",
)
@click.option(
    "--output", type=click.Path(path_type=Path), help="The SIF file; by default IMAGE-TAG.sif in this folder."
)
@click.option(
    "--context",
    "context_only",
    type=click.Path(path_type=Path),
    help="Only write the build context, into this new folder.",
)
@click.pass_obj
def build(
    registry: Registry,
    /,
    backend: str,
    target: str | None,
    context_only: Path | None,
    wheelhouse: Path | None,
    client: str | None,
    form: str,
    output: Path | None,
    **options: object,
) -> None:
    """Build the image of a backend, with llem as it is installed here.

    The build needs a Docker client with BuildKit, and an index for pip. Its last line is the image's name, or the SIF file.

    \b
    Examples:
      llem images build vllm
      llem images build vllm --target cpu --base debian:bookworm-slim
      llem images build pytorch --tag registry.example.org/llem-pytorch:mine --pip-conf pip.conf --ca ca.pem
      llem images build vllm --format sif --output vllm.sif
      llem images build vllm --context context/ && docker buildx build context/
    """
    from llem_containers.apptainer import find
    from llem_containers.gpus import target_here
    from llem_docker.images.as_sif import place_of, write_sif
    from llem_docker.images.build import BuildOptions, builder, tag_of
    from llem_docker.images.build import build as build_image
    from llem_docker.images.context import write_context
    from llem_docker.images.recipe import recipe

    chosen = recipe(registry, backend)
    if (context_only is not None and form == "sif") or (output is not None and form != "sif"):
        raise ConfigError(
            "--output is the place of a SIF file, and --context writes none.",
            remedy="For a SIF file: --format sif --output FILE.sif, without --context.",
        )
    if context_only is not None:
        click.echo(write_context(chosen, context_only, wheelhouse))
        return
    settings = BuildOptions(
        target=target or ("cuda" if options["cuda"] else target_here()),
        arguments=_pairs(options.pop("build_args")),
        cache=not options.pop("no_cache"),
        pull=bool(options.pop("pull_base")),
        **options,  # type: ignore[arg-type]  # click has checked them, each named as the field is
    )
    # All that can be known before wheels and layers are made in vain.
    program = builder(client)[0]
    tag = tag_of(chosen, settings)
    sif, apptainer = (place_of(tag, output), find()) if form == "sif" else (None, None)
    click.echo(f"building {tag}", err=True)
    with tempfile.TemporaryDirectory(prefix="llem-image-") as folder:
        context = write_context(chosen, Path(folder) / "context", wheelhouse)
        built = build_image(chosen, context, settings, client)
    if sif is None or apptainer is None:
        click.echo(built)
        return
    click.echo(f"writing {built} to {sif}", err=True)
    write_sif(built, sif, program, apptainer)
    click.echo(sif)


def _pairs(given: object) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given if isinstance(given, tuple) else ():
        name, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(f"--build-arg takes NAME=VALUE; found `{text}`.")
        found[name] = value
    return found
