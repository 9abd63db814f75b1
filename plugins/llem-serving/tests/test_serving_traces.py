"""Traces as published: each format, its order, what is left out, and every fault with its line."""

from __future__ import annotations

import hashlib
import json
import os
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llem.plugin_api import DatasetConfig, DatasetError
from llem_serving.config import LoadConfig
from llem_serving.traces import TraceRow, prefix_hits, read_trace
from llem_serving.traces import bounded_lines as bounds
from llem_serving.traces.fields import MOST_S, time_ns
from llem_serving.traces.keeping import kept_trace
from llem_serving.traces.pairing import is_paired

MOONCAKE = (
    '{"timestamp": 20, "input_length": 1030, "output_length": 7, "hash_ids": [4, 5, 6]}\n'
    '{"timestamp": 3020, "input_length": 512, "output_length": 1, "hash_ids": [4]}\n'
)
BURSTGPT = (
    "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "86405,ChatGPT,100,10,110,Conversation log\n"
    "86405.5,GPT-4,200,20,220,API log\n"
)
BURSTGPT_3 = (
    "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "19440110.0,6f0c,43,GPT-4,100,10,110,Conversation log\n"
    "19440110.5,,2,ChatGPT,200,20,220,API log\n"
)
AZURE_2023 = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
    "2023-11-16 23:59:59.9999999,100,10\r\n"
    "2023-11-17 00:00:00.4999999,200,20"
)
AZURE_2024 = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2024-05-10 00:00:00+00:00,100,10\n"
    "2024-05-10 00:00:00.500000+00:00,200,20\n"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace"


def fault(path: Path, text: str | bytes, format: str | None = None) -> str:  # noqa: A002
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DatasetError) as told:
        read_trace(path, format)
    return str(told.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [(BURSTGPT, "burstgpt"), (BURSTGPT_3, "burstgpt"), (AZURE_2023, "azure"), (AZURE_2024, "azure")],
)
def test_tables_are_told_by_their_header(path: Path, text: str, name: str) -> None:
    path.write_bytes(text.encode())
    for given_format in (None, name):
        trace = read_trace(path, given_format)
        assert trace.format == name
        assert list(trace.rows()) == [TraceRow(0, 100, 10, None), TraceRow(0.5, 200, 20, None)]
        assert trace.hash_ids is None
        assert trace.notes == ()
        assert trace.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_mooncake_has_milliseconds_and_hash_ids(path: Path) -> None:
    path.write_text("\ufeff\n" + MOONCAKE)
    trace = read_trace(path)
    assert trace.format == "mooncake"
    assert list(trace.rows()) == [TraceRow(0, 1030, 7, (4, 5, 6)), TraceRow(3, 512, 1, (4,))]


def test_hash_ids_may_be_missing_from_some_rows_or_all(path: Path) -> None:
    bare = '{"timestamp": 1.5, "input_length": 9, "output_length": 7}\n'
    path.write_text(bare)
    assert read_trace(path).hash_ids is None
    path.write_text(bare + MOONCAKE + bare)
    assert read_trace(path).hash_ids == [None, None, (4, 5, 6), (4,)]


def test_rows_are_put_in_order_and_it_is_told(path: Path) -> None:
    rows = "".join(
        f'{{"timestamp": {ms}, "input_length": {n}, "output_length": 1, "hash_ids": [{n}]}}\n'
        for n, ms in enumerate((5, 9, 6, 9, 2), 1)
    )
    path.write_text(rows)
    trace = read_trace(path)
    assert trace.input_tokens.tolist() == [5, 1, 3, 2, 4], "rows of one time stay in the file's order"
    assert trace.hash_ids == [(5,), (1,), (3,), (2,), (4,)]
    assert trace.arrival_s.tolist() == [0, 0.003, 0.004, 0.007, 0.007]
    assert trace.out_of_order == 2
    assert trace.notes == ("2 rows of the trace trace stood after a later one and were put in order.",)


def test_many_rows_of_one_time_stay_in_the_order_of_the_file(path: Path) -> None:
    path.write_text("".join(row(timestamp=-n // 100 + 10, input_length=n) for n in range(1, 500)))
    trace = read_trace(path)
    assert [n for n in trace.input_tokens.tolist() if n <= 100] == list(range(1, 101))


def test_failed_requests_are_left_out_and_counted(path: Path) -> None:
    header, first, second = BURSTGPT.splitlines()
    path.write_text("\n".join([header, "1,GPT-4,50,0,50,API log", first, "3,GPT-4,0,9,9,API log", second, ""]))
    trace = read_trace(path)
    assert trace.arrival_s.tolist() == [0, 0.5], "from the first row that is kept"
    assert (trace.failed, trace.promptless, trace.out_of_order) == (1, 1, 0)
    assert [note.partition(" rows")[0] for note in trace.notes] == ["1", "1"]


def test_times_are_exact_to_the_nanosecond(path: Path) -> None:
    path.write_text(AZURE_2023.replace("00:00:00.4999999", "00:00:00.0000001"))
    assert read_trace(path).arrival_s.tolist() == [0, 2e-7]


def test_zones_of_times_are_kept_apart(path: Path) -> None:
    path.write_text(AZURE_2024.replace("00:00:00.500000+00:00", "02:00:00.500000+02:00"))
    assert read_trace(path).arrival_s.tolist() == [0, 0.5]


def test_columns_may_stand_elsewhere_and_cells_in_quotes(path: Path) -> None:
    path.write_text('"generatedtokens", ContextTokens ,note,TIMESTAMP\n10,"100","a, b",2024-05-10T00:00:00Z\n')
    assert list(read_trace(path).rows()) == [TraceRow(0, 100, 10, None)]


def row(**fields: object) -> str:
    return json.dumps({"timestamp": 1, "input_length": 5, "output_length": 1, "hash_ids": [0], **fields}) + "\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ("[1, 2]", "no JSON object"),
        ("[" * 100_000, "not JSON"),
        ('{"timestamp": 1, "input_length": 5}', "output_length is missing"),
        (row(timestamp=-1), "timestamp is negative: -1"),
        (row(timestamp=float("nan")), "timestamp is nan"),
        (row(timestamp=float("inf")), "timestamp is inf"),
        (row(timestamp=None), "timestamp is no number but nothing"),
        (row(timestamp="1"), "timestamp is no number but str"),
        (row(timestamp=True), "timestamp is no number but bool"),
        (row(timestamp=10**13), "timestamp is later"),
        (row(timestamp=int("9" * 400)), "timestamp is larger"),
        (row(input_length=1.5), "input_length is no whole number: 1.5"),
        (row(input_length="5"), "input_length is no number but str"),
        (row(output_length=10**8), "output_length is more than 10,000,000 tokens"),
        (row(output_length=-3), "output_length is negative"),
        (row(hash_ids=[-1]), "hash_ids is no list of whole numbers"),
        (row(hash_ids=[True]), "hash_ids is no list of whole numbers"),
        (row(hash_ids="0"), "hash_ids is no list of whole numbers"),
        (row(hash_ids=[]), "0 hash_ids where an input_length of 5 makes 1 blocks"),
        (row(input_length=513), "1 hash_ids where an input_length of 513 makes 2 blocks of 512 tokens"),
    ],
)
def test_a_faulty_line_of_json_is_told_with_its_number(path: Path, line: str, said: str) -> None:
    told = fault(path, MOONCAKE + "\n" + line)
    assert told.startswith(f"{path}:4: ")
    assert said in told


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1,GPT-4,5", "3 cells where the header has 6"),
        ("1,GPT-4,5,6,11,API log,", "7 cells"),
        ('1,"GPT-4,5,6,11,API log', "no line of CSV"),
        ("-1,GPT-4,5,6,11,API log", "Timestamp is negative: -1"),
        ("nan,GPT-4,5,6,11,API log", "Timestamp is no number: 'nan'"),
        ("1_0,GPT-4,5,6,11,API log", "Timestamp is no number: '1_0'"),
        ("1e999,GPT-4,5,6,11,API log", "Timestamp is inf"),
        (",GPT-4,5,6,11,API log", "Timestamp is no number: ''"),
        ("1,GPT-4,x,6,11,API log", "Request tokens is no number: 'x'"),
        ("1,GPT-4,5,6.5,11,API log", "Response tokens is no whole number: 6.5"),
        ("1,GPT-4,٥,6,11,API log", "Request tokens is no number"),
        ("1,GPT-4," + "9" * 50 + ",6,11,API log", "Request tokens is no number"),
    ],
)
def test_a_faulty_line_of_burstgpt_is_told_with_its_number(path: Path, line: str, said: str) -> None:
    told = fault(path, BURSTGPT + line)
    assert told.startswith(f"{path}:4: ")
    assert said in told


@pytest.mark.parametrize(
    "time", ["", "5", "2023-11-16", "2023-13-16 00:00:00", "2023-11-16 24:30:00", "1969-12-31 23:59:59"]
)
def test_a_faulty_time_of_azure_is_told_with_its_number(path: Path, time: str) -> None:
    told = fault(path, AZURE_2024 + f"{time},1,1")
    assert told.startswith(f"{path}:4: ")
    assert "TIMESTAMP is" in told


def test_what_is_no_trace_is_told(path: Path) -> None:
    assert "it is empty" in fault(path, "")
    assert "it is empty" in fault(path, "\n \n")
    assert "no trace begins so" in fault(path, "a,b,c\n1,2,3\n")
    assert "no trace begins so" in fault(path, "\0\0\0")
    assert "no columns 'TIMESTAMP'" in fault(path, "ContextTokens,GeneratedTokens\n1,2\n")
    assert "2 columns 'TIMESTAMP'" in fault(path, "TIMESTAMP,timestamp,ContextTokens,GeneratedTokens\n")
    assert "no columns 'ContextTokens'" in fault(path, BURSTGPT, "azure")
    assert "it is not JSON" in fault(path, BURSTGPT, "mooncake")
    assert "there is no trace format 'sharegpt'" in fault(path, BURSTGPT, "sharegpt")
    assert "no request with both" in fault(path, BURSTGPT.splitlines()[0])
    assert "no request with both" in fault(path, row(output_length=0))


def test_bytes_that_are_no_text_are_told_with_their_line(path: Path) -> None:
    assert fault(path, BURSTGPT.encode() + b"1,\xff").startswith(
        f"{path}:4: this line is not UTF-8: byte 0xff at place 3."
    )
    assert f"{path}:1: this line is not UTF-8" in fault(path, BURSTGPT.encode("utf-16"))


def test_a_line_without_end_is_not_read_to_its_end(path: Path) -> None:
    assert f"{path}:4: this line has more than 1,048,576 bytes" in fault(path, BURSTGPT + "1" * (2**20 + 1))
    path.write_text(BURSTGPT + " " * (2**20 - 1) + "\n")
    assert len(read_trace(path)) == 2
    os.truncate(path, 64 * 2**20)
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match="this line has more than"):
            read_trace(path)
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


def test_a_file_that_is_too_large_is_refused_by_its_size(path: Path) -> None:
    path.touch()
    os.truncate(path, bounds.MOST_BYTES + 1)
    with pytest.raises(DatasetError, match="4,294,967,297 bytes; at most 4,294,967,296"):
        read_trace(path)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, said in (
        ("pipe", "no regular file"),
        ("", "no regular file"),
        ("gone", "no such file"),
        ("a\0b", "no file has"),
    ):
        with pytest.raises(DatasetError, match=said):
            read_trace(tmp_path / name)


@given(
    st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)),
    st.sampled_from([BURSTGPT, AZURE_2024, MOONCAKE, ""]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_that_stands_in_a_file_gives_another_error(path: Path, tail: bytes, head: str) -> None:
    path.write_bytes(head.encode() + tail)
    with suppress(DatasetError):
        assert len(read_trace(path)) > 0


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 3_000), st.integers(0, 500)), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_formats_read_the_same_requests(path: Path, rows: list[tuple[int, int, int]]) -> None:
    kept = sorted((row for row in rows if row[1] and row[2]), key=lambda row: row[0])
    mooncake = [json.dumps({"timestamp": t, "input_length": i, "output_length": o}) for t, i, o in rows]
    burst = [BURSTGPT.splitlines()[0], *(f"{t // 1000}.{t % 1000:03d},m,{i},{o},0,l" for t, i, o in rows)]
    for lines in (mooncake, burst):
        path.write_text("\n".join(lines))
        if not kept:
            with pytest.raises(DatasetError):
                read_trace(path)
            continue
        trace = read_trace(path)
        assert np.allclose(trace.arrival_s, [(t - kept[0][0]) / 1e3 for t, _, _ in kept], atol=1e-9, rtol=0)
        assert list(zip(trace.input_tokens.tolist(), trace.output_tokens.tolist(), strict=True)) == [
            r[1:] for r in kept
        ]
        assert trace.failed == sum(o == 0 for _, _, o in rows)
        assert trace.promptless == sum(i == 0 and o > 0 for _, i, o in rows)
        assert np.all(np.diff(trace.arrival_s) >= 0)


def test_prefix_hits_are_what_earlier_prompts_had(path: Path) -> None:
    blocks = [
        ([1, 2, 3], 1200),
        ([1, 2, 4], 1200),
        ([2, 1], 600),
        ([1, 2, 3], 1200),
        ([9, 1], 1024),
        ([1, 2, 3, 5], 1600),
    ]
    path.write_text("".join(row(timestamp=n, input_length=size, hash_ids=ids) for n, (ids, size) in enumerate(blocks)))
    trace = read_trace(path)
    # The third and the fifth begin with a block that was seen only after another, or never.
    assert prefix_hits(trace).tolist()[:2] == [0, 1024]
    assert prefix_hits(trace).tolist()[3:] == [1200, 0, 1536]
    path.write_text(BURSTGPT)
    assert prefix_hits(read_trace(path)).tolist() == [0, 0]


def test_a_file_that_has_changed_is_read_again_though_its_size_has_not(path: Path) -> None:
    line = '{"timestamp": 0, "input_length": %d, "output_length": 1}\n'
    path.write_text(line % 5)
    assert kept_trace(path).input_tokens.tolist() == [5]
    before = path.stat()
    path.write_text(line % 7)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert path.stat().st_size == before.st_size
    assert kept_trace(path).input_tokens.tolist() == [7]
    assert kept_trace(path) is kept_trace(path)


def test_the_latest_time_is_the_same_in_every_unit() -> None:
    for unit_ns in (1, 1_000_000, 1_000_000_000):
        most = MOST_S * 10**9 // unit_ns
        assert time_ns(most, "timestamp", unit_ns) == MOST_S * 10**9
        with pytest.raises(ValueError, match="later than any time"):
            time_ns(2 * most, "timestamp", unit_ns)


@pytest.mark.parametrize(
    ("arrival", "changed", "paired"),
    [
        ("trace", {}, True),
        ("trace", {"shuffle": True}, False),
        ("trace", {"path": "other.jsonl"}, False),
        ("poisson", {}, False),
    ],
)
def test_a_prompt_is_its_row_s_only_where_both_are_one_file_in_its_order(
    tmp_path: Path, arrival: str, changed: dict[str, object], paired: bool
) -> None:
    times = {"arrival": "trace", "trace": "t.jsonl"} if arrival == "trace" else {"arrival": arrival, "rate_rps": 1}
    dataset = DatasetConfig.model_validate({"name": "trace", "path": "t.jsonl", "n": 3, **changed})
    assert is_paired(LoadConfig.model_validate(times), dataset, tmp_path) is paired
