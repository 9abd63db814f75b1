"""Every error ends with where to read about it, and there is such a place."""

from __future__ import annotations

import importlib
import re
import tomllib
import traceback
from pathlib import Path

import pytest

import llem.errors
from llem.errors import BUGS, DOCUMENTATION, FAILED_EXPERIMENTS, LlemError, help_url

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path
    for folder in ("core/src", "plugins/*/src", "runners/*/src")
    for path in ROOT.glob(f"{folder}/**/*.py")
    if re.search(r"^    topic = ", path.read_text(), re.MULTILINE)
)


def anchors() -> set[str]:
    """Of the headings of the troubleshooting page, as the site and the forges make them."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    titles = re.findall(r"^##+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_each_topic_of_an_error_is_a_section_of_the_troubleshooting_page() -> None:
    topics = {
        topic for path in MODULES for topic in re.findall(r'^    topic = "(.+)"$', path.read_text(), re.MULTILINE)
    }
    assert {"configuration", "preflight", "docker", "slurm", "ray"} <= topics
    assert topics | {FAILED_EXPERIMENTS, BUGS} <= anchors()


def test_the_address_is_the_one_that_the_distribution_and_the_site_name() -> None:
    project = tomllib.loads((ROOT / "core" / "pyproject.toml").read_text())["project"]
    assert project["urls"]["Documentation"] == DOCUMENTATION
    assert re.search(rf"^site_url: {re.escape(DOCUMENTATION)}$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, found in vars(llem.errors).items()
        if isinstance(found, type) and found.__module__ == "llem.errors"
    ],
)
def test_a_traceback_ends_with_where_to_read_on_and_the_message_stays_as_it_is(name: str) -> None:
    kind: type[LlemError] = getattr(importlib.import_module("llem.errors"), name)
    more = {"command": "chmod", "caution": "Think."} if name == "SamplerClosed" else {}
    error = kind("it is wrong.", where="study.yaml:1:1", remedy="Mend it.", **more)
    assert str(error) == "study.yaml:1:1: it is wrong. Mend it."
    assert (
        "".join(traceback.format_exception(error))
        .rstrip()
        .endswith(f"\nSee {DOCUMENTATION}troubleshooting/#{kind.topic}")
    )


def test_a_plugin_may_explain_its_errors_elsewhere() -> None:
    class OtherError(LlemError):
        topic = "https://example.org/errors#other"

    assert OtherError("it is wrong.").help_url == help_url("https://example.org/errors#other") == OtherError.topic
