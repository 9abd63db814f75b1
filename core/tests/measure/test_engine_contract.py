"""Answers that an engine may not give, each named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llem.measure.contract import ContractError, check_answer, check_batches, check_caveats, check_report
from llem.specs.backend import LoadReport, Request, RequestRecord
from llem.specs.caveat import Caveat
from llem.specs.scenario import Answer

REQUEST = Request(id=3, output_tokens=2, prompt_token_ids=(5, 6, 7))
RECORD = RequestRecord(
    id=3,
    input_tokens=3,
    output_tokens=2,
    start_ns=110,
    end_ns=190,
    finish="length",
    token_ns=(120, 150),
    output_token_ids=(1, 2),
)


def answer(*records: Any, **changes: Any) -> Answer:
    whole = Answer(1, 1, released_ns=100, returned_ns=200, requests=[REQUEST], records=list(records))
    return replace(whole, **changes)


def test_an_honest_answer_passes() -> None:
    check_answer("b", answer(RECORD))
    check_answer("b", answer(replace(RECORD, token_ns=None, output_token_ids=None)))
    check_answer("b", answer(RECORD, stream_ns=(121, 151), record_at=2))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"input_tokens": 4}, "4 input tokens for a prompt of 3"),
        ({"output_tokens": 1, "token_ns": (120,), "output_token_ids": (1,)}, "where exactly 2"),
        ({"output_tokens": 3, "token_ns": None, "output_token_ids": None}, "where at most 2"),
        ({"output_token_ids": (1,)}, "1 output token ids for 2"),
        ({"token_ns": (120,)}, "1 token times for 2"),
        ({"token_ns": (150, 120)}, "backwards"),
        ({"token_ns": (105, 150)}, "outside"),
        ({"token_ns": (120, 195)}, "after end_ns"),
        ({"start_ns": 99}, "between the release and now"),
        ({"end_ns": 201}, "between the release and now"),
        ({"finish": "eos"}, "neither length nor stop"),
    ],
)
def test_a_record_that_cannot_be_true_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractError, match=said) as caught:
        check_answer("somebody", answer(replace(RECORD, **changes)))
    assert "`somebody`" in str(caught.value)
    assert "request 3" in str(caught.value)


def test_times_that_run_backwards_in_the_middle_are_seen() -> None:
    request = replace(REQUEST, output_tokens=3)
    record = replace(RECORD, output_tokens=3, token_ns=(120, 115, 150), output_token_ids=None)
    with pytest.raises(ContractError, match="backwards"):
        check_answer("b", answer(record, requests=[request]))


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([], "request 3 is missing"),
        ([RECORD, RECORD], "2 times"),
        ([RECORD, replace(RECORD, id=8)], "request 8, which was not asked"),
        (["text"], "str, not RequestRecord"),
    ],
)
def test_every_request_is_answered_exactly_once(records: list[Any], said: str) -> None:
    with pytest.raises(ContractError, match=said):
        check_answer("b", answer(*records))


def test_something_that_is_no_sequence_is_refused() -> None:
    with pytest.raises(ContractError, match="NoneType"):
        check_answer("b", answer(records=None))


def test_a_stream_has_one_event_for_each_token_and_the_record_last() -> None:
    with pytest.raises(ContractError, match="1 events for 2"):
        check_answer("b", answer(RECORD, stream_ns=(121,), record_at=1))
    with pytest.raises(ContractError, match="before the last event"):
        check_answer("b", answer(RECORD, stream_ns=(121, 151), record_at=1))
    with pytest.raises(ContractError, match="missing"):
        check_answer("b", answer(stream_ns=(121, 151)))


def test_a_prompt_may_not_be_longer_than_its_cut() -> None:
    text = Request(id=3, output_tokens=2, prompt="a b c d", max_input_tokens=2)
    with pytest.raises(ContractError, match="cut to 2"):
        check_answer("b", answer(RECORD, requests=[text]))
    check_answer("b", answer(RECORD, requests=[replace(text, chat_template=True)]))


@pytest.mark.parametrize(
    ("batches", "said"),
    [
        ([[0], []], "empty"),
        ([[0]], "request 1 is missing"),
        ([[0, 1], [1]], "request 1 is 2 times"),
        ([[0, 1, 9]], "9"),
    ],
)
def test_batches_hold_each_request_once(batches: list[list[int]], said: str) -> None:
    requests = {i: Request(id=i, output_tokens=1, prompt="x") for i in (0, 1, 9)}
    with pytest.raises(ContractError, match=said):
        check_batches("b", [requests[0], requests[1]], [[requests[i] for i in batch] for batch in batches])


def test_a_load_report_names_devices_and_a_vocabulary() -> None:
    good = LoadReport(vocab_size=9, devices=["cpu"])
    assert check_report("b", good) is good
    for bad in (None, replace(good, devices=[]), replace(good, vocab_size=0)):
        with pytest.raises(ContractError, match="load"):
            check_report("b", bad)


def test_work_elsewhere_has_no_device_here_and_a_vocabulary_may_be_unknown() -> None:
    good = LoadReport(vocab_size=None, devices=[], elsewhere="a-server")
    assert check_report("b", good) is good
    with pytest.raises(ContractError, match="a-server"):
        check_report("b", replace(good, devices=["cpu"]))


PIECES = replace(RECORD, output_tokens=2, token_ns=None, output_token_ids=None, piece_ns=(150,))


def test_an_answer_may_come_in_pieces_of_several_tokens() -> None:
    check_answer("b", answer(PIECES))
    check_answer("b", answer(PIECES, stream_ns=(150,), record_at=1))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"token_ns": (120, 150)}, "times of tokens and of pieces"),
        ({"piece_ns": ()}, "0 pieces for 2"),
        ({"piece_ns": (120, 130, 140)}, "3 pieces for 2"),
        ({"piece_ns": (150, 120)}, "backwards"),
        ({"piece_ns": (150, 195)}, "after end_ns"),
    ],
)
def test_pieces_that_cannot_be_true_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractError, match=said):
        check_answer("b", answer(replace(PIECES, **changes)))


def test_a_stream_of_pieces_has_one_event_for_each() -> None:
    with pytest.raises(ContractError, match="2 events for 1 pieces"):
        check_answer("b", answer(PIECES, stream_ns=(120, 150), record_at=2))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"output_token_ids": (1, 2.0)}, "token id 2.0 is no whole number"),
        ({"output_token_ids": (True, 2)}, "token id True is no whole number"),
        ({"output_token_ids": (1, "2")}, "token id '2' is no whole number"),
        ({"output_token_ids": (-1, 2)}, "token id -1 is outside of the vocabulary of 9"),
        ({"output_token_ids": (1, 9)}, "token id 9 is outside of the vocabulary of 9"),
        ({"output_token_ids": (1, 2**70)}, "outside of the vocabulary of 9"),
        ({"output_tokens": 2.0}, "output_tokens is 2.0, no whole number"),
        ({"output_tokens": True}, "output_tokens is True, no whole number"),
        ({"input_tokens": 2**70}, "input_tokens is 1180591620717411303424, no whole number"),
        ({"id": "3"}, "id is '3', no whole number"),
        ({"start_ns": 110.0}, "start_ns is 110.0, no whole number"),
        ({"end_ns": None}, "end_ns is None, no whole number"),
        ({"token_ns": (120, float("nan"))}, "a token time of nan"),
        ({"token_ns": (True, 150)}, "a token time of True"),
        ({"start_ns": 195}, "not in order"),
    ],
)
def test_what_is_no_count_and_no_token_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractError) as caught:
        check_answer("somebody", answer(replace(RECORD, **changes)), vocab_size=9)
    assert said in str(caught.value)


def test_ids_of_an_unknown_vocabulary_are_still_ids() -> None:
    check_answer("b", answer(replace(RECORD, output_token_ids=(1, 10**6))))
    with pytest.raises(ContractError, match="outside of any vocabulary"):
        check_answer("b", answer(replace(RECORD, output_token_ids=(1, 2**70))))


def test_whole_numbers_of_numpy_are_ids() -> None:
    numpy = pytest.importorskip("numpy")
    check_answer("b", answer(replace(RECORD, output_token_ids=numpy.array([1, 2]).tolist())), vocab_size=9)
    check_answer("b", answer(replace(RECORD, output_token_ids=tuple(numpy.array([1, 2])))), vocab_size=9)


def test_the_times_of_a_streams_events_are_whole_nanoseconds() -> None:
    with pytest.raises(ContractError, match="a token time of nan"):
        check_answer("b", answer(RECORD, stream_ns=(121, float("nan")), record_at=2))


def test_a_prompt_has_not_many_times_more_tokens_than_bytes() -> None:
    text = Request(id=3, output_tokens=2, prompt="a b c d")
    check_answer("b", answer(replace(RECORD, input_tokens=600), requests=[text]))  # a template's own system prompt
    with pytest.raises(ContractError, match="900000 input tokens for a prompt of 7 bytes"):
        check_answer("b", answer(replace(RECORD, input_tokens=900_000), requests=[text]))


@pytest.mark.parametrize(
    "changes",
    [{"parameters": 0}, {"active_parameters": -1}, {"vocab_size": True}, {"processes": (0,)}, {"processes": ("7",)}],
)
def test_a_load_report_counts_what_is_there(changes: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="load named"):
        check_report("b", replace(LoadReport(vocab_size=9, devices=["cpu"]), **changes))


@pytest.mark.parametrize(
    ("caveats", "said"),
    [
        (None, "something else"),
        (["text"], "something else"),
        ([Caveat("Two words", "x")], "the code 'Two words'"),
        ([Caveat("a_word", " ")], "a_word without a message"),
        ([Caveat("a_word", "x"), Caveat("a_word", "y")], "one code twice"),
    ],
)
def test_a_caveat_is_a_word_and_a_paragraph(caveats: Any, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        check_caveats("b", caveats)
    assert check_caveats("b", [Caveat("a_word", "x"), Caveat("b2", "y")])
