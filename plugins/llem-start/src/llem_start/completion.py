"""`llem completion`: the script that makes a shell complete llem's commands, options and values."""

from __future__ import annotations

from typing import Literal

import click

from llem.plugin_api import COMPLETE_VARIABLE

INSTALL = {
    "bash": (
        "For every new shell: llem completion bash > ~/.local/share/bash-completion/completions/llem",
        '(make that folder first), or add to ~/.bashrc: eval "$(llem completion bash)"',
    ),
    "zsh": (
        'For every new shell: llem completion zsh > "${fpath[1]}/_llem"',
        'or add to ~/.zshrc after compinit: eval "$(llem completion zsh)"',
    ),
    "fish": ("For every new shell: llem completion fish > ~/.config/fish/completions/llem.fish",),
}
"""Where each shell's script goes."""


@click.command()
@click.argument("shell", type=click.Choice(list(INSTALL)))
def completion(shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print the script that completes llem in bash, zsh or fish; its first lines say where to put it.

    It completes commands and options, studies in the folder results, backends, datasets, runners, and keys of the
    configuration.

    \b
    Examples:
      eval "$(llem completion bash)"           for this shell
      llem completion bash > ~/.local/share/bash-completion/completions/llem
      llem completion zsh > "${fpath[1]}/_llem"
      llem completion fish > ~/.config/fish/completions/llem.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # click has all three
    script = kind(click.Group("llem"), {}, "llem", COMPLETE_VARIABLE).source().splitlines()
    # zsh reads what a file completes from its first line.
    first = 1 if script[0].startswith("#compdef") else 0
    click.echo("\n".join([*script[:first], *(f"# {text}" for text in INSTALL[shell]), *script[first:]]))
