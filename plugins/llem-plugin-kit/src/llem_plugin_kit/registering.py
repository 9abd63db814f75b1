"""The plugins of this environment, and what registering them imports."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from llem.plugin_api import PROJECT, HookKind, Registry, default_registry

_CODE = """
import sys
from llem.plugin_api import Registry
Registry().plugins()
print(*[name for name in sys.argv[1:] if name in sys.modules])
"""


def installed() -> Registry:
    """The registry of this environment, for contexts that a test makes."""
    return default_registry()


def imported_by_registering(
    kind: HookKind[Any], name: str, implementation: str, requires: Sequence[str] = ()
) -> list[str]:
    """Modules that a fresh process has imported, once every plugin of this environment has given its specs, and should not have.

    Args:
        kind: of the spec.
        name: of the spec.
        implementation: `package.module:attribute` that the spec names. A plugin of one module holds its implementation
            beside its registration: then only what that needs must stay out.
        requires: import names of the packages that it needs.
    """
    module = implementation.partition(":")[0]
    heavy = [*([] if module == _registered_in(kind, name) else [module]), *requires]
    done = subprocess.run([sys.executable, "-c", _CODE, *heavy], capture_output=True, text=True, check=True)
    return done.stdout.split()


def _registered_in(kind: HookKind[Any], name: str) -> str:
    plugin = installed().provider(kind, name)
    for entry in importlib.metadata.entry_points(group=PROJECT, name=plugin.name):
        if entry.dist is not None and entry.dist.name == plugin.distribution:
            return entry.module
    return "llem.builtin"
