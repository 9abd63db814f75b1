"""Bundles of a study that really ran: what goes in, what is refused, and what verification finds."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packaging.pylock import Pylock, PylockValidationError
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rocrate.rocrate import ROCrate

from llem_bundle.container import Content, Packing, measured
from llem_bundle.listing import LISTING

pytestmark = pytest.mark.process

Llem = Callable[..., "subprocess.CompletedProcess[str]"]
TOKEN = "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwX"


def rebuilt(bundle: Path, files: Mapping[str, bytes] | None = None, target: Path | None = None) -> dict[str, bytes]:
    """The files of a bundle; with `files`, a new bundle of these at `target`, whose every digest is right."""
    if files is None or target is None:
        with zipfile.ZipFile(bundle) as archive:
            return {name: archive.read(name) for name in archive.namelist() if name != LISTING}
    with target.open("wb") as out:
        Packing([measured(Content(name, lambda data=data: BytesIO(data))) for name, data in files.items()]).write(out)
    return dict(files)


def job(files: Mapping[str, bytes]) -> str:
    """The directory of the first experiment that is done."""
    return next(
        name.rpartition("/")[0]
        for name, data in sorted(files.items())
        if name.endswith("/result.json") and json.loads(data)["status"] == "done"
    )


def test_the_same_study_gives_the_same_bytes_and_verifies(
    study: Path, bundle: Path, llem: Llem, tmp_path: Path
) -> None:
    elsewhere = study.rename(tmp_path / study.name)
    again = llem("bundle", elsewhere, "-o", "again.zip", TZ="Asia/Tokyo", PYTHONHASHSEED="7")
    assert again.returncode == 0, again.stderr
    assert bundle.read_bytes() == (tmp_path / "again.zip").read_bytes()
    size = f"{bundle.stat().st_size / 1e6:,.1f} MB"
    assert again.stdout.splitlines()[0].endswith(f"{size}.")
    done = llem("verify", bundle)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 differ" in done.stdout
    assert "6 experiments" in done.stdout

    document = json.loads(llem("verify", bundle, "--json").stdout)
    equal = {one["figure"] for one in document["figures"] if one["verdict"] == "equal"}
    assert {"energy_j", "window_s", "tokens.output", "tokens_per_s", "ttft_s.p50", "itl_s.p50", "e2e_s.mean"} <= equal
    assert {"j_per_output_token.mean", "j_per_output_token.interval.low", "tokens_per_s.interval.high"} <= equal
    assert document["counts"]["differs"] == document["counts"]["not_verified"] == 0


def test_it_holds_what_it_says(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "out")
    assert names >= {
        "study.yaml",
        "study.json",
        "manifest.json",
        "summary.json",
        "audit.json",
        "methods.txt",
        "report.html",
        "CITATION.cff",
        "environment/hardware.json",
        "environment/images.json",
        "environment/packages-1.txt",
        "ro-crate-metadata.json",
    }
    assert sum(name.endswith("/timeseries.parquet") for name in names) >= 3
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", "files.sha256"],
        cwd=tmp_path / "out",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    crate = ROCrate(tmp_path / "out")
    assert {one.id for one in crate.data_entities} == names - {"ro-crate-metadata.json"}
    described = {one.id: one["sha256"] for one in crate.data_entities if one.get("sha256")}
    assert described["study.yaml"] == hashlib.sha256((tmp_path / "out" / "study.yaml").read_bytes()).hexdigest()
    cited = subprocess.run(
        [Path(sys.executable).parent / "cffconvert", "--validate", "-i", tmp_path / "out" / "CITATION.cff"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert cited.returncode == 0, cited.stdout + cited.stderr


def test_its_packages_are_those_of_the_process_that_measured(bundle: Path, ran: Path) -> None:
    files = rebuilt(bundle)
    text = files["environment/packages-1.txt"].decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    told = {found.name: str(found.specifier) for found in map(Requirement, lines)}
    recorded = [
        json.loads(path.read_text())["environment"]["packages"]
        for path in sorted(ran.glob("experiments/*/result.json"))
        if json.loads(path.read_text())["status"] == "done"
    ]
    assert recorded[0]
    assert all(told == {name: f"=={version}" for name, version in one.items()} for one in recorded)
    assert told["llem"] == f"=={importlib.metadata.version('llem')}"
    assert "Not a lock by PEP 751" in text


def test_names_and_versions_alone_are_no_lock_by_pep_751(bundle: Path) -> None:
    """The reason why a bundle has none: a lock names files with their digests, which nobody recorded when it was measured."""
    lines = rebuilt(bundle)["environment/packages-1.txt"].decode().splitlines()
    found = [Requirement(line) for line in lines if not line.startswith("#")]
    packages = [
        {"name": canonicalize_name(one.name), "version": str(one.specifier).removeprefix("==")} for one in found
    ]
    document: dict[str, Any] = {"lock-version": "1.0", "created-by": "llem", "packages": packages}
    with pytest.raises(PylockValidationError, match="vcs, directory, archive"):
        Pylock.from_dict(document)
    wheel = {"name": "x-1-py3-none-any.whl", "url": "https://example.org/x-1-py3-none-any.whl"}
    document["packages"] = [{"name": "x", "version": "1", "wheels": [wheel]}]
    with pytest.raises(PylockValidationError, match="hashes"):
        Pylock.from_dict(document)
    Pylock.from_dict(
        {**document, "packages": [{**document["packages"][0], "wheels": [{**wheel, "hashes": {"sha256": "0" * 64}}]}]}
    )


def test_nothing_is_overwritten(study: Path, bundle: Path, llem_here: Llem) -> None:
    before = bundle.read_bytes()
    done = llem_here("bundle", study, "-o", bundle)
    assert done.returncode == 2
    assert "nothing is overwritten" in done.stderr
    assert bundle.read_bytes() == before


def test_a_dry_run_writes_nothing(study: Path, llem_here: Llem, tmp_path: Path) -> None:
    done = llem_here("bundle", study, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert " files, " in done.stdout
    assert [one.name for one in tmp_path.glob("*.zip")] == []


def test_without_series_it_says_what_cannot_be_verified(study: Path, llem_here: Llem, tmp_path: Path) -> None:
    done = llem_here("bundle", study, "--without-series", "-o", "small.zip")
    assert done.returncode == 0, done.stderr
    assert "cannot be verified" in done.stdout
    with zipfile.ZipFile(tmp_path / "small.zip") as archive:
        assert not [name for name in archive.namelist() if name.endswith(".parquet")]
    verified = llem_here("verify", "small.zip", "--json")
    figures = json.loads(verified.stdout)["figures"]
    assert verified.returncode == 0
    open_ = {one["figure"] for one in figures if one["verdict"] == "not_verified"}
    assert {"energy_j", "tokens.output", "tokens_per_s", "ttft_s.p50"} <= open_
    assert "could not be verified" in llem_here("verify", "small.zip").stdout


def falsified(result: dict[str, Any], path: str, factor: float) -> None:
    *above, last = path.split(".")
    for key in above:
        result = result[key]
    result[last] *= factor


@pytest.mark.parametrize(
    ("path", "factor"),
    [
        ("energy.headline.energy_j", 0.6),
        ("energy.headline.j_per_output_token", 0.999),
        ("energy.headline.mean_w", 1.001),
        ("energy.window_s", 1.001),
        ("tokens.output", 2),
        ("throughput.tokens_per_s", 1.0001),
        ("latency.ttft_s.p50", 0.99),
        ("latency.itl_s.mean", 0.99),
        ("latency.e2e_s.max", 0.99),
    ],
)
def test_a_falsified_figure_is_found_though_all_digests_are_right(
    bundle: Path, tmp_path: Path, path: str, factor: float
) -> None:
    from llem_bundle.verifying import verify_bundle

    files = rebuilt(bundle)
    name = f"{job(files)}/result.json"
    result = json.loads(files[name])
    falsified(result, path, factor)
    files[name] = json.dumps(result).encode()
    rebuilt(bundle, files, tmp_path / "false.zip")
    found = verify_bundle(tmp_path / "false.zip")
    assert found.exit_code == 1
    of, last = job(files), path.rpartition(".")[2]
    names = {one.name for one in found.of("differs") if one.of == of}
    assert any(name.endswith(last) for name in names), names


def test_a_falsified_figure_is_told_with_both_values(bundle: Path, llem_here: Llem, tmp_path: Path) -> None:
    files = rebuilt(bundle)
    name = f"{job(files)}/result.json"
    result = json.loads(files[name])
    right = result["tokens"]["output"]
    result["tokens"]["output"] += 5
    files[name] = json.dumps(result).encode()
    rebuilt(bundle, files, tmp_path / "false.zip")
    done = llem_here("verify", "false.zip")
    assert done.returncode == 1
    assert f"{job(files)}: tokens.output: stated {right + 5}.0, recomputed {right}" in done.stdout


def test_a_falsified_mean_is_found(bundle: Path, tmp_path: Path) -> None:
    from llem_bundle.verifying import verify_bundle

    files = rebuilt(bundle)
    summary = json.loads(files["summary.json"])
    figure = next(one["figures"]["tokens_per_s"] for one in summary["configurations"] if one["figures"])
    figure["interval"]["low"] *= 1.01
    files["summary.json"] = json.dumps(summary).encode()
    rebuilt(bundle, files, tmp_path / "false.zip")
    assert [one.name for one in verify_bundle(tmp_path / "false.zip").of("differs")] == ["tokens_per_s.interval.low"]


def test_flipped_bytes_of_a_real_bundle_are_refused_with_their_file(bundle: Path, tmp_path: Path) -> None:
    from llem_bundle.container import BundleError, unpack

    data, generator = bytearray(bundle.read_bytes()), random.Random(3)
    with zipfile.ZipFile(bundle) as archive:
        infos = archive.infolist()
    for number in range(60):
        place = generator.randrange(infos[-1].header_offset)
        owner = [one.filename for one in infos if one.header_offset <= place][-1]
        kept = data[place]
        data[place] ^= generator.randrange(1, 256)
        (tmp_path / "flipped.zip").write_bytes(data)
        data[place] = kept
        (tmp_path / f"out{number}").mkdir()
        with pytest.raises(BundleError) as raised:
            unpack(tmp_path / "flipped.zip", tmp_path / f"out{number}")
        assert f"`{owner}`" in str(raised.value)


def test_a_changed_bundle_is_refused_in_a_paragraph(bundle: Path, llem_here: Llem) -> None:
    data = bytearray(bundle.read_bytes())
    data[data.index(b"cff-version")] ^= 1
    bundle.write_bytes(data)
    done = llem_here("verify", bundle)
    assert done.returncode == 2
    assert "`CITATION.cff`" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["study.yaml", "study.json", "result.json", "events.jsonl"])
def test_a_secret_is_refused_and_never_shown(study: Path, llem_here: Llem, tmp_path: Path, name: str) -> None:
    path = next(study.rglob(name))
    text = path.read_text()
    if name == "study.yaml":
        text += f"\n# {TOKEN}\n"
    elif name == "events.jsonl":
        text += json.dumps({"event": "message", "text": f"with {TOKEN}"}) + "\n"
    else:
        text = json.dumps({**json.loads(text), "note": TOKEN})
    path.write_text(text)
    done = llem_here("bundle", study, "-o", "b.zip")
    assert done.returncode == 2
    assert name in done.stderr
    assert "shape of a token" in done.stderr
    assert TOKEN not in done.stderr + done.stdout
    assert not (tmp_path / "b.zip").exists()


def test_a_value_of_a_secret_variable_is_refused(study: Path, llem: Llem) -> None:
    result = next(study.rglob("result.json"))
    result.write_text(json.dumps({**json.loads(result.read_text()), "note": "correct horse battery"}))
    done = llem("bundle", study, "-o", "b.zip", LAB_PASSWORD="correct horse battery")
    assert done.returncode == 2
    assert "environment variable" in done.stderr
    assert "horse" not in done.stderr


def test_a_secret_in_a_table_is_refused(study: Path, llem_here: Llem) -> None:
    path = next(study.rglob("requests.parquet"))
    table = pq.read_table(path)
    column = pa.array([TOKEN] * table.num_rows)
    pq.write_table(table.set_column(table.column_names.index("finish"), "finish", column), path)
    done = llem_here("bundle", study, "-o", "b.zip")
    assert done.returncode == 2
    assert "column finish" in done.stderr
    assert TOKEN not in done.stderr


def test_links_and_what_is_no_file_are_refused(study: Path, llem_here: Llem, tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text("name: told\n")
    (study / "study.yaml").unlink()
    (study / "study.yaml").symlink_to(outside)
    done = llem_here("bundle", study, "-o", "b.zip")
    assert done.returncode == 2
    assert "link" in done.stderr
    (study / "study.yaml").unlink()
    os.mkfifo(study / "study.yaml")
    done = llem_here("bundle", study, "-o", "b.zip")
    assert done.returncode == 2
    assert "pipe" in done.stderr


def test_a_job_directory_that_is_a_link_is_refused(study: Path, llem_here: Llem, tmp_path: Path) -> None:
    job_dir = next((study / "experiments").iterdir())
    job_dir.rename(tmp_path / "elsewhere")
    job_dir.symlink_to(tmp_path / "elsewhere")
    done = llem_here("bundle", study, "-o", "b.zip")
    assert done.returncode == 2
    assert "link" in done.stderr


def test_a_pipe_in_the_place_of_a_bundle_is_refused_at_once(llem_here: Llem, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "b.zip")
    done = llem_here("verify", "b.zip")
    assert done.returncode == 2
    assert "pipe" in done.stderr


def test_what_is_no_study_is_refused(llem_here: Llem, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "absent"):
        done = llem_here("bundle", folder, "-o", "b.zip")
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("result.json", b"[1, 2]"),
        ("result.json", b"{" * 100_000),
        ("events.jsonl", b'{"event": "phase", "name": "window", "state": "start", "t_ns": "soon"}'),
        ("timeseries.parquet", b"PAR1 no table PAR1"),
        ("requests.parquet", b""),
    ],
)
def test_a_consistent_bundle_of_nonsense_is_no_bug(bundle: Path, tmp_path: Path, name: str, content: bytes) -> None:
    from llem_bundle.container import BundleError
    from llem_bundle.verifying import verify_bundle

    files = rebuilt(bundle)
    files[f"{job(files)}/{name}"] = content
    rebuilt(bundle, files, tmp_path / "false.zip")
    with pytest.raises(BundleError) as raised:
        verify_bundle(tmp_path / "false.zip")
    assert "\n" not in str(raised.value)


def test_figures_that_are_none_differ(bundle: Path, tmp_path: Path) -> None:
    from llem_bundle.verifying import verify_bundle

    files = rebuilt(bundle)
    files[f"{job(files)}/result.json"] = b'{"status": "done", "energy": 5, "phases": 7, "latency": [1], "tokens": "x"}'
    rebuilt(bundle, files, tmp_path / "false.zip")
    assert verify_bundle(tmp_path / "false.zip").exit_code == 1


def test_a_table_that_claims_to_be_endless_is_refused(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llem_bundle import tables
    from llem_bundle.container import BundleError
    from llem_bundle.verifying import verify_bundle

    files = rebuilt(bundle)
    out = BytesIO()
    pq.write_table(pa.table({"t_s": pa.array([0.0] * 100_000)}), out)
    files[f"{job(files)}/timeseries.parquet"] = out.getvalue()
    rebuilt(bundle, files, tmp_path / "false.zip")
    monkeypatch.setattr(tables, "MOST_ROWS", 99_999)
    with pytest.raises(BundleError, match="larger"):
        verify_bundle(tmp_path / "false.zip")
