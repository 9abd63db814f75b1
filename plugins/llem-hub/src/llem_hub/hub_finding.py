"""The availability of models and tokenizers on the hub, told before a worker waits for them."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from llem.plugin_api import Finding
from llem_hub.availability import Availability, availability, endpoint, hub_cache


def hub_finding(
    what: str, name: str, revision: str | None, asked: MutableMapping[tuple[str, str | None], Availability]
) -> Finding:
    """The finding on one name of the hub.

    A hub that cannot be reached is a warning: the network may come back until the worker asks.

    Args:
        what: the thing, for the message.
        asked: the answers so far. A hub that did not answer once is not asked again.
    """
    key = (name, revision)
    if key not in asked:
        silent = next((one for one in asked.values() if one.state == "unreachable"), None)
        asked[key] = availability(name, revision) if silent is None else silent
    found, at = asked[key], f" at revision {revision}" if revision else ""
    cache = hub_cache(os.environ)
    if found.state == "missing":
        return Finding(
            level="error",
            message=f"{what}{at}: the hub has none of this name that you may read ({found.detail})",
            remedy="Correct it; a private or gated one needs `hf auth login` or HF_TOKEN; a folder needs ./ in front.",
        )
    if found.state == "offline":
        return Finding(
            level="error",
            message=f"{what}{at}: it is not in the hub's cache ({cache}), and HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set",
            remedy=f"Fetch it first: hf download {name}; or unset the variable.",
        )
    if found.state == "unreachable":
        return Finding(
            level="warning",
            message=f"{what}{at}: it is not in the hub's cache ({cache}), and {endpoint()} cannot be reached: {found.detail}",
            remedy=f"Mend the network, run `hf download {name}` where there is one, or name a folder.",
        )
    return Finding(level="ok", message=f"{what}{at}: hub{', in its cache here' if found.state == 'cached' else ''}")
