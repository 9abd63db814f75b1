"""Secrets never leave; figures and ordinary words do."""

from __future__ import annotations

import pytest

from llem.results.scrub import HIDDEN, scrub, scrub_data

SECRETS = [
    ("hf_" + "aB3" * 10, "loading with hf_" + "aB3" * 10 + " now"),
    ("s3cretpass", "git clone https://user:s3cretpass@example.org/repo.git"),
    ("justatoken12", "https://justatoken12@example.org/simple"),
    ("hunter2", "password=hunter2"),
    ("hunter2 with spaces", "db_password: 'hunter2 with spaces'"),
    ("abcDEF123456", "Authorization: Bearer abcDEF123456"),
    ("abcd1234efgh", "?token=abcd1234efgh&x=1"),
    ("zzz", 'HF_TOKEN="zzz"'),
    ("zzz", '{"api_key": "zzz"}'),
    ("AKIAIOSFODNN7EXAMPLE", "key AKIAIOSFODNN7EXAMPLE"),
    ("MIIEabc", "-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\n-----END RSA PRIVATE KEY-----"),
    ("MIIEabc", "-----BEGIN PRIVATE KEY-----\nMIIEabc cut off"),
    ("ghp_" + "x" * 36, "remote: ghp_" + "x" * 36),
]


@pytest.mark.parametrize(("secret", "text"), SECRETS)
def test_a_secret_is_hidden(secret: str, text: str) -> None:
    scrubbed = scrub(text, {})
    assert secret not in scrubbed
    assert HIDDEN in scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "j_per_output_token = 0.25",
        "j_per_token: 1234567890.123456",
        "eos_token: <|endoftext|>",
        "token: 12345678901234",
        "tokens=128 token_ids=[1, 2, 3]",
        "RuntimeError: expected key 'model.layers.0' in state dict",
        "see https://example.org/a/b@c?x=1",
        "monkey=banana",
        "",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert scrub(text, {}) == text


def test_the_value_of_a_secret_variable_is_hidden_wherever_it_stands() -> None:
    environ = {"MY_SERVICE_TOKEN": "correct-horse-battery", "HOME": "/home/someone", "SHORT_KEY": "1"}
    assert scrub("sent correct-horse-battery to /home/someone 1", environ) == f"sent {HIDDEN} to /home/someone 1"


def test_data_is_scrubbed_at_every_depth_and_figures_stay() -> None:
    data = {
        "runs": [{"api_key": "abc", "note": "password=abc", "j_per_token": 0.5}],
        "hf_token": "abc",
        "token_ids": (1, 2),
        "empty": None,
    }
    assert scrub_data(data, {}) == {
        "runs": [{"api_key": HIDDEN, "note": f"password={HIDDEN}", "j_per_token": 0.5}],
        "hf_token": HIDDEN,
        "token_ids": [1, 2],
        "empty": None,
    }
