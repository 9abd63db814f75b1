"""`llem plugins`: what is installed, what each brings, and why one was set aside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from llem.specs.kinds import KINDS

if TYPE_CHECKING:
    from llem.plugins import Registry


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def plugins(registry: Registry, as_json: bool) -> None:
    """List plugins: distribution, version, what each provides, and why one was set aside.

    A plugin that cannot be imported, or that was written for another version of llem's plugin API, is set aside; the
    others work, and only a study that needs it fails.

    \b
    Examples:
      llem plugins
      llem plugins --json | jq '.plugins[].provides.backend'
    """
    from llem.preflight.engines import FIRST_REMEDY

    document = plugin_document(registry)
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False, indent=1))
        return
    summaries = document["summaries"]
    for plugin in document["plugins"]:
        click.echo(f"{plugin['distribution']} {plugin['version']}")
        if plugin["set_aside"]:
            click.echo(f"  set aside: {plugin['set_aside']}")
        for kind, names in plugin["provides"].items():
            for name in names:
                click.echo(f"  {kind:<16} {name:<22} {summaries[kind][name]}")
        click.echo()
    if not any("backend" in plugin["provides"] for plugin in document["plugins"]):
        click.echo(f"No backend is installed. {FIRST_REMEDY}")


def plugin_document(registry: Registry) -> dict[str, Any]:
    """Every plugin as plain data. Raises PluginError where two claim one name."""
    from llem.hookspecs import API_VERSION

    found = registry.plugins()
    return {
        "api_version": API_VERSION,
        "plugins": [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "provides": plugin.provides,
                "set_aside": plugin.set_aside,
            }
            for plugin in found
        ],
        "summaries": {kind.word: {name: spec.summary for name, spec in registry[kind].items()} for kind in KINDS},
    }
