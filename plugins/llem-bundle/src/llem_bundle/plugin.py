"""The registration of llem-bundle: three commands."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, CommandSpec, hookimpl


@hookimpl
def llem_commands() -> Sequence[CommandSpec]:
    """The commands `bundle`, `replicate` and `verify`."""
    return [
        CommandSpec(
            name="bundle",
            api_version=API_VERSION,
            summary="a study as one archive that others can check",
            command="llem_bundle.bundle_command:bundle",
        ),
        CommandSpec(
            name="replicate",
            api_version=API_VERSION,
            summary="a bundle's study run again, and judged figure by figure",
            command="llem_bundle.replicate_command:replicate",
        ),
        CommandSpec(
            name="verify",
            api_version=API_VERSION,
            summary="a bundle held against its own digests, readings and requests",
            command="llem_bundle.verify_command:verify",
        ),
    ]
