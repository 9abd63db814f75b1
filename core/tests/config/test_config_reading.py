"""YAML text to plain data: what a value means, and what is refused within bounded work."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from llem.config.reading import MAX_BYTES, Document, read_value, read_yaml, read_yaml_file
from llem.config.yaml_nodes import MAX_DEPTH, MAX_NODES, MAX_SCALAR
from llem.errors import ConfigError


def value(text: str) -> Any:
    return read_yaml(f"key: {text}\n", "study.yaml").data["key"]


def refusal(text: str, name: str = "study.yaml") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_yaml(text, name)
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8", 8),
        ("-8", -8),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0o17", 15),
        ("0", 0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("5.", 5.0),
        ("true", True),
        ("False", False),
        ("yes", True),
        ("off", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("2024-01-01", "2024-01-01"),
        ("1:30", "1:30"),
        ("1.2.3", "1.2.3"),
        ("'8'", "8"),
        ('"yes"', "yes"),
        ("y", "y"),
        ("NaN", "NaN"),
        ("inf", "inf"),
        ("!!str 8", "8"),
        ("[-1, '-']", [-1, "-"]),
        ("random:tiny-llama", "random:tiny-llama"),
    ],
)
def test_a_plain_scalar_means_what_it_looks_like(text: str, expected: Any) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("text", [".nan", ".NaN", ".inf", "-.inf", "+.INF"])
def test_nan_and_infinity_are_refused_where_they_stand(text: str) -> None:
    error = refusal(f"a: 1\nb: [2, {text}]\n")
    assert error.where == "study.yaml:2:8"
    assert text in error.what
    assert "finite" in error.what


@pytest.mark.parametrize("text", ["010", "0755", "-007", "00"])
def test_a_number_that_starts_with_zero_is_refused_and_not_guessed(text: str) -> None:
    assert "starts with 0" in refusal(f"a: {text}\n").what


@pytest.mark.parametrize("text", ["1e999", "9" * 65, "-1e400"])
def test_a_number_without_a_usable_value_is_refused(text: str) -> None:
    assert "quotes" in str(refusal(f"a: {text}\n"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4),
        max_leaves=20,
    )
)
def test_what_a_yaml_library_writes_is_read_back(data: Any) -> None:
    document = {"key": data}
    if any(text == "<<" or _is_text_of_old(text) for text in _texts(document)):
        return
    text = yaml.safe_dump(document, allow_unicode=False)
    assert read_yaml(text, "x").data == document


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from (key, *_texts(value))
    elif isinstance(data, list):
        for item in data:
            yield from _texts(item)


def _is_text_of_old(text: str) -> bool:
    """True for a number of YAML 1.2 that is text in YAML 1.1, which the library writes: it puts no quotes around `1e5` and `08`."""
    number = re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", text)
    return number is not None and yaml.safe_dump(text)[0] not in "\"'"


def test_the_texts_that_are_left_out_above_are_numbers_to_us() -> None:
    assert [_is_text_of_old(text) for text in ("1e5", "0E0", "08", "12", "1.5", "a")] == [True] * 3 + [False] * 3
    assert (value("1e5"), value("0E0")) == (1e5, 0.0)
    assert "starts with 0" in refusal("a: 08\n").what


@given(st.text(max_size=200))
def test_whatever_a_file_holds_it_is_read_or_refused_as_a_configuration(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(read_yaml(text, "x").data, dict)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "~\n"])
def test_an_empty_file_is_said_to_be_empty_unless_it_may_be(text: str) -> None:
    error = refusal(text)
    assert error.what == "is empty."
    assert "llem init" in str(error)
    assert read_yaml(text, "user.yaml", may_be_empty=True).data == {}


@pytest.mark.parametrize(("text", "kind"), [("- a\n- b\n", "a list"), ("hello\n", "a single value")])
def test_a_file_whose_top_level_is_no_mapping_is_refused(text: str, kind: str) -> None:
    assert kind in refusal(text).what


def test_a_tab_is_named_with_its_place() -> None:
    error = refusal("a:\n\tb: 1\n")
    assert error.where == "study.yaml:2:1"
    assert "a tab" in error.what
    assert "spaces" in str(error)


@pytest.mark.parametrize(
    ("text", "where", "advice"),
    [
        ("a: b: c\n", "study.yaml:1:5", "needs quotes"),
        ("a: [1, 2\n", "study.yaml:2:1", "Close the bracket"),
        ("a:\n  b: 1\n c: 2\n", "study.yaml:3:2", "same column"),
        ("a: 'b\n", "study.yaml:2:1", "Close the quotes"),
        ("a: @b\n", "study.yaml:1:4", "quotes"),
        ('a: "C:\\new\\path"\n', "study.yaml:1:11", "backslash"),
        ("a:\n- b\n c\n- d: 1\n  - e\n", "study.yaml:5:3", "same column"),
    ],
)
def test_what_is_not_yaml_is_told_with_place_and_advice(text: str, where: str, advice: str) -> None:
    error = refusal(text)
    assert error.where == where
    assert "is not YAML" in error.what
    assert advice in (error.remedy or "")


def test_a_control_character_is_named_with_its_place() -> None:
    error = refusal("a: 1\nb: x\x07y\n")
    assert error.where == "study.yaml:2:5"
    assert "U+0007" in error.what


def test_anchors_are_copied_and_merge_keys_yield_to_what_is_written() -> None:
    document = read_yaml("a: &a {n: 1, m: 2}\nb: {<<: *a, n: 3}\nc: *a\n", "x").data
    assert document == {"a": {"n": 1, "m": 2}, "b": {"n": 3, "m": 2}, "c": {"n": 1, "m": 2}}
    assert document["a"] is not document["c"]


def test_a_yaml_bomb_is_refused_before_it_is_expanded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    error = refusal("\n".join(lines))
    assert f"{MAX_NODES:,}" in error.what
    assert error.where is not None
    assert error.where.startswith("study.yaml:6:"), "the sixth line is the first that passes the limit"


def test_nesting_is_bounded_as_written_and_through_anchors() -> None:
    assert "levels deep" in refusal("a: " + "[" * 5_000).what
    deep = "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, MAX_DEPTH + 2))
    assert "anchors are expanded" in refusal("a0: &a0 [x]\n" + deep).what


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "a: &a {b: *a}\n", "a: &a {<<: *a}\n"])
def test_an_anchor_that_contains_itself_is_refused(text: str) -> None:
    assert "contains itself" in refusal(text).what


def test_an_alias_without_an_anchor_is_refused() -> None:
    assert "no anchor" in refusal("a: *b\n").what


def test_a_scalar_of_ten_megabytes_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("name: " + "x" * 10_000_000)
    with pytest.raises(ConfigError, match="larger than 4 MiB"):
        read_yaml_file(path)
    assert f"at most {MAX_SCALAR:,}" in refusal("name: " + "x" * (MAX_SCALAR + 1)).what
    assert "larger than" in refusal("x" * (MAX_BYTES + 1)).what


def test_a_key_twice_is_refused_with_both_places() -> None:
    error = refusal("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n")
    assert error.where == "study.yaml:5:3"
    assert "`c` stands twice" in error.what
    assert "line 3, column 3" in error.what


@pytest.mark.parametrize("key", ["1", "1.5", "~", "true", "null", "[a]", "{a: b}", "007"])
def test_a_key_that_is_no_text_is_refused(key: str) -> None:
    error = refusal(f"a: {{? {key} : 1}}\n")
    assert error.where == "study.yaml:1:7"


def test_yes_and_no_are_text_as_keys_because_yaml_versions_differ() -> None:
    assert read_yaml("on: 1\nno: 2\n", "x").data == {"on": 1, "no": 2}


def test_a_thousands_separator_inside_braces_is_recognised() -> None:
    assert "1000, not 1,000" in str(refusal("dataset: {n: 1,000}\n"))


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system [ls]", "!custom 3", "!!binary aGk=", "!!set {a}"])
def test_tags_make_no_objects(tag: str) -> None:
    assert "tag" in refusal(f"a: {tag}\n").what


def test_a_second_document_is_refused() -> None:
    assert refusal("a: 1\n---\nb: 2\n").where == "study.yaml:2:1"


def test_a_value_is_read_by_the_same_rules_and_located_by_its_name() -> None:
    assert read_value("[1, 1e-3, yes, text]", "x") == [1, 0.001, True, "text"]
    assert read_value("", "x") is None
    with pytest.raises(ConfigError) as caught:
        read_value("[1, ", "--set dataset.n")
    assert caught.value.where == "--set dataset.n"


def test_keys_are_located_nested_dotted_and_by_their_nearest_ancestor() -> None:
    document: Document = read_yaml("a:\n  b:\n    - c: 1\n    - d: 2\ne.f:\n  g: 3\n", "s.yaml")
    assert document.locate(("a", "b", 1, "d")) == "s.yaml:4:7"
    assert document.locate(("e", "f", "g")) == "s.yaml:6:3"
    assert document.locate(("a", "b", 7)) == "s.yaml:2:3"
    assert document.locate(("nowhere",)) == "s.yaml:1:1"


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_yaml_file(path).data == {"a": 1, "b": 2}


@pytest.mark.parametrize("raw", [b"a: 1\nb: \xff\n", "a: 1\n".encode("utf-16")])
def test_a_file_that_is_not_utf8_is_refused_with_the_byte(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match="is not UTF-8"):
        read_yaml_file(path)


def test_a_missing_file_a_folder_and_a_misspelt_name_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("a: 1\n")
    (tmp_path / "unrelated.yaml").write_text("a: 1\n")
    with pytest.raises(ConfigError) as caught:
        read_yaml_file(tmp_path / "study.yml")
    assert str(caught.value).endswith(f"Did you mean {tmp_path / 'study.yaml'}?")
    with pytest.raises(ConfigError, match=r"Name the file in it: study\.yaml, unrelated\.yaml"):
        read_yaml_file(tmp_path)
    with pytest.raises(ConfigError, match="does not exist either"):
        read_yaml_file(tmp_path / "no" / "study.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml_file(Path("a\0b"))
