"""Differences between two machines, in words."""

from __future__ import annotations

from llem.plugins import default_registry
from llem.study.hosts import differences, host


def test_a_machine_does_not_differ_from_itself() -> None:
    first, second = (host(default_registry()) for _ in range(2))
    assert first["host"]
    assert "llem" in first["packages"]
    assert list(differences(first, second)) == []


def test_each_fact_that_differs_is_named_with_what_was_and_is() -> None:
    before = {"host": "a", "gpus": ["A100 (GPU-1)"], "packages": {"llem": "1", "torch": "2"}}
    now = {"host": "b", "gpus": [], "cpu": "new to this version", "packages": {"llem": "1", "numpy": "3"}}
    assert list(differences(before, now)) == [
        "host: was a, is b",
        "GPUs: was A100 (GPU-1), is none",
        "numpy: was none, is 3",
        "torch: was 2, is none",
    ]
