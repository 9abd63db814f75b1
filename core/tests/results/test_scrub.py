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
    ("hunter2x", "PGPASSWORD=hunter2x psql"),
    ("hunter2x", "MYSQL_PWD=hunter2x mysql"),
    ("hunter2x", "SSHPASS=hunter2x"),
    ("hunter2x", "TOKEN_HF=hunter2x"),
    ("hunter2x", "TOKEN_ACME=hunter2x"),
    ("hunter2x", "SECRET_KEY_BASE=hunter2x"),
    ("hunter2x", '{"PGPASSWORD": "hunter2x"}'),
    ("hunter2x", "dbPassword: hunter2x"),
    ("hunter2x", "apiKey=hunter2x"),
    ("hunter2x", "AZURE_STORAGE_ACCOUNT_KEY=hunter2x"),
    ("hunter2x", "AccountName=me;AccountKey=hunter2x;Endpoint=e"),
    ("hunter2x", "MY_SERVICE_KEY=hunter2x"),
    ("hunter2", "serve --api-key hunter2 --port 80"),
    ("hunter2", "serve --api_key 'hunter2'"),
    ("hunter2", "['serve', '--api-key', 'hunter2', '--port', '80']"),
    ("hunter2", "serve --hf-token hunter2"),
    ("hunter2", "serve --token hunter2"),
    ("hunter2", "serve --password hunter2"),
    ("hunter2", "sshpass -p hunter2 ssh host"),
    ("hunter2", "mysql -u me -phunter2 db"),
    ("hunter2", "curl -s -u me:hunter2 https://example.org"),
    ("abcDEF123456", "Authorization: Token abcDEF123456"),
    ("abcDEF123456", '"authorization": "ApiKey abcDEF123456"'),
    ("abcDEF123456", "authorization=abcDEF123456"),
    ("abcDEF123456", "X-Api-Key: abcDEF123456"),
    ("abcDEF123456", "Cookie: session=abcDEF123456; theme=dark"),
    ("abcDEF123456", "https://e.org/f?X-Amz-Signature=abcDEF123456&x=1"),
    ("hunter2", "machine example.org login me password hunter2"),
    ("hunter2", "machine example.org\n  login me\n  password hunter2\n"),
    ("sk-proj-" + "a1" * 12, "OpenAI said: Incorrect API key provided: sk-proj-" + "a1" * 12),
    ("sk_live_" + "a1" * 12, "sk_live_" + "a1" * 12),
    ("xoxb-123456789012-abc", "slack xoxb-123456789012-abc"),
    ("AIza" + "b" * 35, "AIza" + "b" * 35),
    ("ya29." + "c" * 20, "ya29." + "c" * 20),
    ("eyJhbGciOiJI.eyJzdWIiOiIx.sig", "jwt eyJhbGciOiJI.eyJzdWIiOiIx.sig"),
    ("glpat-" + "d" * 20, "glpat-" + "d" * 20),
    ("gsk_" + "e" * 30, "gsk_" + "e" * 30),
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
        "config_hash " + "3fa8" * 16,
        "config_hash: " + "3fa8" * 16,
        "sha256:" + "0b9d" * 16,
        "model_key=meta-llama/Llama-3.1-8B-Instruct",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "GPU-8f6b2c1e-1d2a-4c55-9b0e-5c7e1f3a2b4d",
        "PWD=/home/me/study OLDPWD=/home/me",
        "TOKENIZERS_PARALLELISM=false MAX_TOKENS=12345678",
        "TOKEN_LIMIT=12345678",
        "--api-key is missing: set LLEM_OPENAI_API_KEY_FILE or --api-key-file",
        "--password must be given",
        "--max-tokens 128 --port 8080 --key-cache fp8",
        "kv_cache_key: 8",
        "keys: a, b",
        "KeyError: 'password_hash_x'",
        "tokens_per_s: 1234.5678",
        "n_tokens=12345678 eos_token_id=128009",
        "bypass=1 compass: north",
        "author: me",
        "2026-01-01T12:00:00Z 0.53 J per token",
        "secret_file: /run/secrets/hf",
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


def test_a_value_that_may_be_a_figure_is_too_short_to_be_hidden_everywhere() -> None:
    seven, eight = {"X_TOKEN": "1234567"}, {"X_TOKEN": "12345678"}
    assert scrub("1234567 J in 12345678 ns", seven) == "1234567 J in 12345678 ns"
    assert scrub("1234567 J, sent 12345678", eight) == f"1234567 J, sent {HIDDEN}"


@pytest.mark.parametrize(
    "name", ["PGPASSWORD", "MYSQL_PWD", "SSHPASS", "TOKEN_HF", "TOKEN_ACME", "SECRET_KEY_BASE", "HF_TOKEN", "X_KEY"]
)
def test_a_variable_of_such_a_name_is_hidden_by_value(name: str) -> None:
    assert scrub("it said correct-horse", {name: "correct-horse"}) == f"it said {HIDDEN}"


@pytest.mark.parametrize(
    "name",
    ["PWD", "OLDPWD", "TOKENIZERS_PARALLELISM", "HF_TOKEN_PATH", "KEYBOARD", "COMPASS", "MAX_TOKENS", "XDG_SEAT"],
)
def test_a_variable_of_another_name_is_not(name: str) -> None:
    assert scrub("it said /home/someone", {name: "/home/someone"}) == "it said /home/someone"


def test_what_follows_an_option_in_a_list_of_arguments_is_hidden() -> None:
    arguments = ["serve", "--api-key", "is", "--port", "80", "--hf-token", "x y", "--max-tokens", "5"]
    assert scrub_data(arguments, {}) == [*arguments[:2], HIDDEN, *arguments[3:6], HIDDEN, *arguments[7:]]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "key",
        "token=",
        "-----BEGIN PRIVATE KEY-----",
        "--key ",
        "://",
        "curl ",
        "eyJ",
        "x-",
        "Authorization: ",
        "login ",
        "login a password ",
        " ",
        "mysql -p",
    ],
)
def test_a_long_text_takes_no_long_time(piece: str) -> None:
    scrub(piece * (200_000 // len(piece)), {})
