"""The registry finds plugins by entry point, sets aside the broken ones with a reason, and names clashes."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from llem.errors import EXIT_PLUGIN, PluginError
from llem.hookspecs import API_VERSION
from llem.plugins import Registry, load_object, missing_requirements
from llem.specs.kinds import BACKENDS, CHECKS, COMMANDS, DATASETS, KINDS, METRICS, RUNNERS, SAMPLERS
from llem.specs.registry import HookKind

Install = Callable[..., None]

BACKEND = """
from llem.config.section import Section
from llem.hookspecs import API_VERSION, hookimpl
from llem.plugin_api import BackendSpec

@hookimpl
def llem_backends():
    return [BackendSpec(name={name!r}, api_version={api}, summary="a test", config=Section, engine="{engine}")]
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a distribution for real: a folder with a module and its dist-info, put on sys.path."""

    def do(distribution: str, code: str, version: str = "1.0") -> None:
        site = tmp_path / distribution
        module = distribution.replace("-", "_") + "_plugin"
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[llem]\n{distribution} = {module}\n")
        (site / f"{module}.py").write_text(code)
        monkeypatch.syspath_prepend(str(site))

    return do


def _set_aside(registry: Registry, distribution: str) -> str:
    found = [p for p in registry.plugins() if p.distribution == distribution]
    assert len(found) == 1
    assert found[0].set_aside is not None
    assert found[0].provides == {}
    return found[0].set_aside


def test_builtins_register_by_the_same_hooks() -> None:
    registry = Registry(entry_points=[])
    assert "local" in registry[RUNNERS]
    assert {"nvml", "rapl", "estimate"} <= registry[SAMPLERS].keys()
    assert registry[DATASETS].keys() == {"aienergyscore", "jsonl", "synthetic"}
    assert registry.provider(RUNNERS, "local").distribution == "llem"


def test_every_path_that_a_builtin_spec_names_can_be_loaded() -> None:
    registry = Registry(entry_points=[])
    paths = [s.runner for s in registry[RUNNERS].values()]
    paths += [s.sampler for s in registry[SAMPLERS].values()]
    paths += [s.loader for s in registry[DATASETS].values()]
    paths += [s.check for s in registry[CHECKS].values()]
    for path in paths:
        assert callable(load_object(path)), path


def test_an_installed_backend_is_found_with_its_distribution(install: Install) -> None:
    install("llem-good", BACKEND.format(name="good", api=API_VERSION, engine="nowhere:Engine"), version="2.5")
    registry = Registry()
    assert registry.find(BACKENDS, "good").summary == "a test"
    assert registry.provider(BACKENDS, "good").label == "llem-good 2.5"


def test_registering_does_not_import_the_engine(install: Install) -> None:
    install("llem-lazy", BACKEND.format(name="lazy", api=API_VERSION, engine="no_such_module:Engine"))
    spec = Registry().find(BACKENDS, "lazy")
    with pytest.raises(PluginError, match="no_such_module"):
        load_object(spec.engine)


def test_a_plugin_that_fails_to_import_is_set_aside_and_the_rest_works(install: Install) -> None:
    install("llem-broken", "raise RuntimeError('kaputt at import')")
    install("llem-good", BACKEND.format(name="good", api=API_VERSION, engine="x:Y"))
    registry = Registry()
    assert "kaputt at import" in _set_aside(registry, "llem-broken")
    assert "good" in registry[BACKENDS]


def test_a_plugin_that_exits_at_import_is_set_aside(install: Install) -> None:
    install("llem-exits", "raise SystemExit(3)")
    assert "SystemExit" in _set_aside(Registry(), "llem-exits")


def test_a_plugin_with_a_syntax_error_is_set_aside(install: Install) -> None:
    install("llem-syntax", "def broken(:\n")
    assert "SyntaxError" in _set_aside(Registry(), "llem-syntax")


def test_a_plugin_of_another_api_version_is_set_aside_with_both_versions(install: Install) -> None:
    install("llem-old", BACKEND.format(name="old", api=API_VERSION + 1, engine="x:Y"))
    reason = _set_aside(Registry(), "llem-old")
    assert f"plugin API {API_VERSION + 1}" in reason
    assert f"this llem has {API_VERSION}" in reason


def test_a_plugin_whose_hook_raises_is_set_aside(install: Install) -> None:
    code = "from llem.hookspecs import hookimpl\n@hookimpl\ndef llem_backends():\n    return 1 / 0\n"
    install("llem-raises", code)
    assert "ZeroDivisionError" in _set_aside(Registry(), "llem-raises")


def test_a_plugin_that_returns_the_wrong_kind_is_set_aside(install: Install) -> None:
    code = "from llem.hookspecs import hookimpl\n@hookimpl\ndef llem_backends():\n    return ['pytorch']\n"
    install("llem-wrong", code)
    assert "str, not BackendSpec" in _set_aside(Registry(), "llem-wrong")


def test_a_hook_that_llem_does_not_know_sets_the_plugin_aside(install: Install) -> None:
    code = "from llem.hookspecs import hookimpl\n@hookimpl\ndef llem_backend():\n    return []\n"
    install("llem-typo", code)
    assert "llem_backend" in _set_aside(Registry(), "llem-typo")


def test_two_plugins_with_one_name_are_an_error_that_names_both(install: Install) -> None:
    install("llem-first", BACKEND.format(name="twin", api=API_VERSION, engine="x:Y"))
    install("llem-second", BACKEND.format(name="twin", api=API_VERSION, engine="x:Y"))
    with pytest.raises(PluginError, match="twin") as caught:
        _ = Registry()[BACKENDS]
    assert "llem-first 1.0" in str(caught.value)
    assert "llem-second 1.0" in str(caught.value)
    assert caught.value.exit_code == EXIT_PLUGIN


def test_an_unknown_backend_names_the_nearest(install: Install) -> None:
    install("llem-good", BACKEND.format(name="good", api=API_VERSION, engine="x:Y"))
    with pytest.raises(PluginError, match="Did you mean `good`"):
        Registry().find(BACKENDS, "goood")


def test_a_missing_backend_says_what_to_install() -> None:
    with pytest.raises(PluginError, match="pip install llem-vllm"):
        Registry(entry_points=[]).find(BACKENDS, "vllm")


def test_a_backend_of_a_set_aside_plugin_is_refused_with_its_reason(install: Install) -> None:
    install("llem-sick", "raise ImportError('libsick.so is missing')")
    with pytest.raises(PluginError, match=r"libsick\.so is missing"):
        Registry().find(BACKENDS, "sick")


def test_an_event_reaches_every_plugin_though_one_raises(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising = "from llem.hookspecs import hookimpl\n@hookimpl\ndef llem_study_finished(study_dir, summary):\n    raise ValueError('no')\n"
    writing = (
        "from llem.hookspecs import hookimpl\n@hookimpl\ndef llem_study_finished(study_dir, summary):\n"
        "    (study_dir / 'seen').write_text(summary['state'])\n"
    )
    install("llem-a-raises", raising)
    install("llem-b-writes", writing)
    complaints: list[str] = []
    Registry().notify("llem_study_finished", complaints.append, study_dir=tmp_path, summary={"state": "complete"})
    assert (tmp_path / "seen").read_text() == "complete"
    assert len(complaints) == 1
    assert "llem-a-raises 1.0" in complaints[0]


@pytest.mark.process
def test_missing_requirements_are_found_without_importing_them() -> None:
    assert missing_requirements(("json", "no_such_package", "no_such.sub")) == ["no_such_package", "no_such.sub"]
    code = "import sys; from llem.plugins import missing_requirements; missing_requirements(('wave',)); print('wave' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


def test_every_kind_has_a_documented_hook() -> None:
    from llem import hookspecs

    for kind in KINDS:
        assert getattr(hookspecs, kind.hook).__doc__


def test_every_hook_that_registers_is_a_row_of_the_table_and_every_named_row_is_in_it() -> None:
    from llem import hookspecs
    from llem.specs import kinds

    registering = [
        name
        for name, hook in vars(hookspecs).items()
        if name.startswith("llem_") and not inspect.signature(hook).parameters
    ]
    assert sorted(registering) == sorted(kind.hook for kind in KINDS)
    assert [row for row in vars(kinds).values() if isinstance(row, HookKind)] == list(KINDS)
    assert len({kind.word for kind in KINDS}) == len(KINDS)


def test_what_a_plugin_brought_is_gone_when_another_of_its_hooks_fails(install: Install) -> None:
    code = BACKEND.format(name="half", api=API_VERSION, engine="x:Y")
    install("llem-half", code + "\n@hookimpl\ndef llem_commands():\n    raise RuntimeError('no commands')\n")
    registry = Registry()
    assert "half" in registry[BACKENDS]
    assert "half" not in registry[COMMANDS]
    assert "no commands" in _set_aside(registry, "llem-half")
    assert "half" not in registry[BACKENDS], "a plugin is used whole, or not at all"
    with pytest.raises(PluginError, match="no commands"):
        registry.find(BACKENDS, "half")
    with pytest.raises(KeyError):
        registry.provider(BACKENDS, "half")


def test_a_spec_that_cannot_be_made_sets_its_plugin_aside(install: Install) -> None:
    install(
        "llem-vague",
        "from llem.hookspecs import hookimpl\n"
        "from llem.plugin_api import MetricSpec\n"
        "@hookimpl\n"
        "def llem_metrics():\n"
        "    return [MetricSpec(name='v', api_version=1, summary='s', label='v', unit='1', better='lower', of=())]\n",
    )
    registry = Registry()
    assert "v" not in registry[METRICS]
    assert "the metric `v` is of no column" in _set_aside(registry, "llem-vague")
