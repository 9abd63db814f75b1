"""`timeseries.parquet`: every reading, with units."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from llem.measure.series import Series, Track
from llem.measure.timeseries import write_timeseries
from llem.specs.sampler import Device

S = 10**9


def two_devices() -> Series:
    gpu = Track("nvml", Device(id="GPU-1", name="Card", scope="gpu", methods=frozenset({"counter", "power"})))
    gpu.append(9 * S, 1.0, 100.0, {"temperature_c": 40.0, "throttle_reasons": 4.0, "fan_rpm": 900.0})
    gpu.append(11 * S, 201.0, None, {"throttle_reasons": 0.0})
    cpu = Track("rapl", Device(id="rapl:package-0", name="RAPL", scope="cpu", methods=frozenset({"counter"})))
    cpu.append(10 * S, 5.0, None, {})
    return Series([gpu, cpu], hz=10)


def test_each_reading_is_a_row_and_times_count_from_the_window(tmp_path: Path) -> None:
    write_timeseries(two_devices(), tmp_path / "t.parquet", 10 * S)
    table = pq.read_table(tmp_path / "t.parquet")
    assert table.column("t_s").to_pylist() == [-1.0, 1.0, 0.0]
    assert table.column("device").to_pylist() == ["GPU-1", "GPU-1", "rapl:package-0"]
    assert table.column("sampler").to_pylist() == ["nvml", "nvml", "rapl"]
    assert table.column("scope").to_pylist() == ["gpu", "gpu", "cpu"]
    assert table.column("energy_j").to_pylist() == [1.0, 201.0, 5.0]


def test_what_was_not_read_is_null_and_never_zero(tmp_path: Path) -> None:
    write_timeseries(two_devices(), tmp_path / "t.parquet", 10 * S)
    table = pq.read_table(tmp_path / "t.parquet")
    assert table.column("power_w").to_pylist() == [100.0, None, None]
    assert table.column("temperature_c").to_pylist() == [40.0, None, None]
    assert table.column("throttle_reasons").to_pylist() == [4, 0, None]
    assert table.column("gpu_clock_mhz").null_count == 3


def test_every_column_has_a_unit_and_a_meaning(tmp_path: Path) -> None:
    write_timeseries(two_devices(), tmp_path / "t.parquet", 10 * S)
    schema = pq.read_schema(tmp_path / "t.parquet")
    assert all(field.metadata[b"unit"] and field.metadata[b"description"] for field in schema)
    units = {field.name: field.metadata[b"unit"].decode() for field in schema}
    assert (units["t_s"], units["energy_j"], units["power_w"]) == ("s", "J", "W")
    assert (units["temperature_c"], units["gpu_clock_mhz"], units["memory_used_mb"]) == ("degC", "MHz", "MiB")
    assert schema.metadata[b"llem.open_ns"] == str(10 * S).encode()
    assert schema.metadata[b"llem.clock"] == b"CLOCK_MONOTONIC"
    assert float(schema.metadata[b"llem.sample_hz"]) == 10


def test_what_another_sampler_reads_gets_a_column_with_the_unit_of_its_name(tmp_path: Path) -> None:
    write_timeseries(two_devices(), tmp_path / "t.parquet", 10 * S)
    table = pq.read_table(tmp_path / "t.parquet")
    assert table.column("fan_rpm").to_pylist() == [900.0, None, None]
    assert table.schema.field("fan_rpm").metadata[b"unit"] == b"1/min"


def test_the_columns_are_the_same_where_nothing_was_read(tmp_path: Path) -> None:
    write_timeseries(Series(), tmp_path / "t.parquet", 0)
    table = pq.read_table(tmp_path / "t.parquet")
    assert table.num_rows == 0
    assert {"t_s", "device", "energy_j", "power_w", "throttle_reasons"} <= set(table.column_names)
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]
