"""`notify.yaml`: who is told, of what. Secrets are named there, never written: a variable or a file holds them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from llem.plugin_api import ConfigError, read_file, read_yaml_file, user_file_path

FILE = "notify.yaml"
"""It stands beside the user's `config.yaml`."""

PAGE = "docs/notify.md has every key."

LONGEST_SECRET = 64 * 2**10
"""Bytes of a file that holds an address or a key."""

Event = Literal["study_started", "experiment_failed", "study_stalled", "study_finished"]
EVENTS: tuple[Event, ...] = get_args(Event)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Target(_Part):
    """One receiver: a webhook, or a service that Apprise knows."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", description="word by which it is called in messages")
    url: str | None = Field(None, description="address of a webhook that is no secret")
    url_variable: str | None = Field(
        None, min_length=1, description="environment variable that holds the address of a webhook"
    )
    url_file: str | None = Field(None, min_length=1, description="file that holds the address of a webhook")
    apprise_variable: str | None = Field(
        None, min_length=1, description="environment variable that holds a URL of Apprise"
    )
    apprise_file: str | None = Field(None, min_length=1, description="file that holds a URL of Apprise")
    secret_variable: str | None = Field(
        None, min_length=1, description="environment variable with the key that signs a webhook"
    )
    secret_file: str | None = Field(None, min_length=1, description="file with the key that signs a webhook")
    events: tuple[Event, ...] = Field(EVENTS, min_length=1, description="events of which it is told")
    timeout_s: float = Field(10.0, gt=0, le=120, description="longest wait for a connection, and for an answer")
    attempts: int = Field(6, ge=1, le=20, description="tries of one message, 1, 2, 4 … s apart, 60 s at most")

    @field_validator("url")
    @classmethod
    def _is_web(cls, url: str | None) -> str | None:
        if url is not None:
            check_address(url)
            if urlsplit(url).username is not None:
                raise ValueError("it holds a user or a password: name a variable or a file in its place (url_variable)")
        return url

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        places = ("url", "url_variable", "url_file", "apprise_variable", "apprise_file")
        given = [name for name in places if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"it has one of {', '.join(places)}, and here are {len(given)}")
        keys = [name for name in ("secret_variable", "secret_file") if getattr(self, name) is not None]
        if len(keys) > 1:
            raise ValueError("it has either secret_variable or secret_file")
        if keys and self.by_apprise:
            raise ValueError("only webhooks are signed")
        return self

    @property
    def by_apprise(self) -> bool:
        """True where Apprise delivers."""
        return self.apprise_variable is not None or self.apprise_file is not None

    def address(self, folder: Path, environ: Mapping[str, str]) -> str:
        """The address. Raises ConfigError where it cannot be had, or is none."""
        if self.url is not None:
            return self.url
        variable, file = self.url_variable or self.apprise_variable, self.url_file or self.apprise_file
        found = self._held(variable, file, folder, environ)
        if not self.by_apprise:
            try:
                check_address(found)
            except ValueError as error:
                raise self._wrong(f"{variable or file}: {error}.") from error
        return found

    def key(self, folder: Path, environ: Mapping[str, str]) -> str | None:
        """The key that signs; None for messages without a signature. Raises ConfigError where it cannot be had."""
        if self.secret_variable is None and self.secret_file is None:
            return None
        return self._held(self.secret_variable, self.secret_file, folder, environ)

    def _held(self, variable: str | None, file: str | None, folder: Path, environ: Mapping[str, str]) -> str:
        if variable is not None:
            if not (value := environ.get(variable, "").strip()):
                raise self._wrong(f"the environment variable {variable} is not set.")
            return value
        path = Path(str(file))
        try:
            path = folder / path.expanduser()
            value = read_file(path, LONGEST_SECRET).decode().strip()
        except (OSError, ValueError, RuntimeError) as error:  # a zero byte in its name; `~` of a user who is not there
            text_is_wrong = isinstance(error, UnicodeDecodeError)
            reason = error.strerror if isinstance(error, OSError) else "it is no text" if text_is_wrong else str(error)
            raise self._wrong(f"{path} cannot be read: {str(reason).rstrip('.')}.") from error
        if not value:
            raise self._wrong(f"{path} is empty.")
        return value

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(what, where=f"{FILE}: target {self.name}", remedy=PAGE)


class Notify(_Part):
    """The whole of `notify.yaml`."""

    targets: tuple[Target, ...] = Field((), description="who is told")
    textfile_folder: str | None = Field(
        None, min_length=1, description="folder of the textfile collector of Prometheus' node exporter"
    )
    mlflow: bool = Field(False, description="log each result to the store of MLFLOW_TRACKING_URI when it has come")
    stalled_after_s: float | None = Field(
        3600.0, ge=1, description="a study in which nothing starts or ends for so long has stalled; null: none has"
    )
    most_failures: int = Field(
        10, ge=1, description="failed experiments of a study that have a message each; the last one counts the others"
    )

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        names = [target.name for target in self.targets]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two targets are called `{twice[0]}`")
        if not self.targets and self.textfile_folder is None and not self.mlflow:
            raise ValueError("it has neither targets nor a textfile_folder nor mlflow: true, so that nobody is told")
        return self


def check_address(url: str) -> None:
    """Raise ValueError where an address is none of the web. The text of an error never repeats it: it may be a secret."""
    from urllib3.exceptions import LocationParseError
    from urllib3.util import parse_url

    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parse_url(url).host and parts.port != 0
    except (ValueError, LocationParseError):
        whole = False
    if not whole:
        raise ValueError(
            "an address begins with https:// or http:// and has a host, and a port is a number up to 65535"
        )


def config_path(environ: Mapping[str, str] | None = None) -> Path:
    """Path of `notify.yaml`, whether it is there or not."""
    return user_file_path(os.environ if environ is None else environ).with_name(FILE)


def read_config(path: Path) -> Notify | None:
    """The configuration; None where there is no file. Raises ConfigError where it is none."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"it cannot be read: {error.strerror}.", where=str(path), remedy=PAGE) from error
    try:
        data = read_yaml_file(path, may_be_empty=True).data
    except ConfigError as error:  # its remedies are of studies
        raise ConfigError(error.what, where=error.where, remedy=PAGE) from error
    try:
        return Notify.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        said = str(first["msg"]).removeprefix("Value error, ")
        raise ConfigError(f"{f'{place}: ' if place else ''}{said}.", where=str(path), remedy=PAGE) from None
