"""What registering imports, looked at in a fresh process, where nothing else has imported anything."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Sequence

from llem.hookspecs import PROJECT
from llem.plugins import default_registry

_CODE = """
import sys
from llem.plugins import Registry
Registry().plugins()
print(*[name for name in sys.argv[1:] if name in sys.modules])
"""


def imported_by_registering(kind: str, name: str, implementation: str, requires: Sequence[str] = ()) -> list[str]:
    """Which modules a process has imported, once every plugin of this environment has given its specs, that it should not.

    Args:
        kind: a key of `llem.plugins.KINDS`; name: of the spec.
        implementation: `package.module:attribute` that the spec names. A plugin of one module holds its implementation
            beside its registration: then only what that needs must stay out.
        requires: import names of the packages that it needs.
    """
    module = implementation.partition(":")[0]
    heavy = [*([] if module == _registered_in(kind, name) else [module]), *requires]
    done = subprocess.run([sys.executable, "-c", _CODE, *heavy], capture_output=True, text=True, check=True)
    return done.stdout.split()


def _registered_in(kind: str, name: str) -> str:
    plugin = default_registry().provider(kind, name)
    for entry in importlib.metadata.entry_points(group=PROJECT, name=plugin.name):
        if entry.dist is not None and entry.dist.name == plugin.distribution:
            return entry.module
    return "llem.builtin"
