"""`llem notify`: tries every target out."""

from __future__ import annotations

import click


@click.command()
def notify() -> int:
    """Send a test message to everyone whom notify.yaml names, and say what came of it.

    notify.yaml stands beside your config.yaml (`~/.config/llem/notify.yaml` where nothing else is set) and says who is told of
    studies that start, fail in part, stall or end: webhooks, and chat or mail through Apprise. Each target gets one try.

    \b
    notify.yaml:
      targets:
        - {name: lab, url: "https://example.org/llem", secret_variable: LAB_HOOK_KEY}
        - {name: phone, apprise_file: ~/.apprise-url, events: [study_finished, experiment_failed]}
      stalled_after_s: 3600

    \b
    Examples:
      llem notify

    \b
    Exit codes: 0 all were reached, 1 one was not; 2 there is no notify.yaml, or it is wrong.
    """
    from llem.plugin_api import ConfigError
    from llem_notify import messages
    from llem_notify.config import PAGE, config_path, read_config
    from llem_notify.delivery import NotDeliveredError
    from llem_notify.study import way_to

    path = config_path()
    config = read_config(path)
    if config is None:
        raise ConfigError("there is no such file.", where=str(path), remedy=f"Write one; {PAGE}")
    ways = [(target.name, way_to(target, path.parent)) for target in config.targets]
    missed = 0
    for name, way in ways:
        try:
            way.deliver(messages.test())
        except NotDeliveredError as error:
            missed += 1
            click.echo(f"{name}: not reached: {error}.")
        else:
            click.echo(f"{name}: reached.")
    return int(missed > 0)
