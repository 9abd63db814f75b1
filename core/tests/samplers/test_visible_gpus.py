"""CUDA_VISIBLE_DEVICES, resolved as CUDA does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.errors import SamplerUnavailable
from llem.samplers.visible import Gpu, visible_gpus

A, B, C = Gpu(0, "GPU-aaaa-1", "H100"), Gpu(1, "GPU-aabb-2", "H100"), Gpu(2, "GPU-cccc-3", "H100")
OTHER = Gpu(1, "GPU-dddd-4", "A2")


def chosen(value: str | None, gpus: tuple[Gpu, ...] = (A, B, C), **variables: str) -> list[Gpu]:
    environ = variables if value is None else {"CUDA_VISIBLE_DEVICES": value, **variables}
    return list(visible_gpus(gpus, environ).gpus)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, [A, B, C]),
        ("", []),
        ("-1", []),
        ("0", [A]),
        ("2,0", [C, A]),
        (" 1 , 2 ", [B, C]),
        ("0,7,1", [A]),  # the list ends at the first that is not there
        ("1,-1,2", [B]),
        ("0,0", []),  # a card twice leaves none
        ("GPU-cccc-3", [C]),
        ("gpu-cccc-3", [C]),
        ("GPU-c", [C]),
        ("GPU-aa", []),  # the beginning of two
        ("GPU-", []),
        ("GPU-aaaa-1,2", [A, C]),
        ("NoDevFiles", []),
        ("٣", []),  # a digit, but none that CUDA reads
    ],
)
def test_entries_name_cards(value: str | None, expected: list[Gpu]) -> None:
    assert chosen(value) == expected


@pytest.mark.parametrize("value", ["MIG-11111111-2222", "0,MIG-GPU-aaaa-1/1/0", "mig-1"])
def test_a_mig_slice_is_refused_with_the_reason(value: str) -> None:
    with pytest.raises(SamplerUnavailable, match="slice") as caught:
        chosen(value)
    assert caught.value.remedy


def test_an_index_among_different_cards_is_ambiguous_unless_the_order_is_the_bus() -> None:
    found = visible_gpus((A, OTHER), {"CUDA_VISIBLE_DEVICES": "1"})
    assert list(found.gpus) == [A, OTHER]
    assert found.note is not None
    assert "CUDA_DEVICE_ORDER" in found.note
    assert chosen("1", (A, OTHER), CUDA_DEVICE_ORDER="PCI_BUS_ID") == [OTHER]
    assert chosen(OTHER.uuid, (A, OTHER)) == [OTHER]


@given(st.text(max_size=40))
def test_no_text_breaks_it_or_invents_a_card(value: str) -> None:
    try:
        found = chosen(value)
    except SamplerUnavailable:
        assert "mig" in value.lower()
        return
    assert len(set(found)) == len(found)
    assert set(found) <= {A, B, C}
