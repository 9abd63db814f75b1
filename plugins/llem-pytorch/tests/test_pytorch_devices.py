"""Ids of cards, by which energy is matched to what the engine used."""

from __future__ import annotations

import pytest

from llem_pytorch.devices import hip_id

pytestmark = pytest.mark.engine


@pytest.mark.parametrize(
    ("uuid", "expected"),
    [
        ("34613138-6265-3961-3366-303763346332", "GPU-4a18be9a3f07c4c2"),  # what HIP keeps: the id's characters
        ("4a18be9a-3f07-c4c2-0000-000000000000", "4a18be9a-3f07-c4c2-0000-000000000000"),
        ("not a uuid", "not a uuid"),
    ],
)
def test_a_card_of_rocm_is_called_as_amd_smi_calls_it(uuid: str, expected: str) -> None:
    assert hip_id(uuid) == expected
