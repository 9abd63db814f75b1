"""A study that was measured in a container, as a bundle, and replicated by this machine's own Python: two environments."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.docker

STUDY = {
    "name": "moved",
    "model": "random:tiny-llama",
    "backend": "testbed",
    "dataset": {"name": "synthetic", "n": 4, "input_tokens": 4, "output_tokens": 8},
    "testbed": {"token_s": 0.02},
    "measurement": {"min_window_s": 0.5, "settle_s": 0, "samplers": ["estimate"]},
    "warmup": {"enabled": False},
    "baseline": {"enabled": False},
    "sweep": {"testbed.batch_size": [1, 2]},
    "execution": {"cycles": 3, "experiment_gap_s": 0, "cycle_gap_s": 0},
}


def llem(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llem", *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done


def test_a_containers_bundle_is_replicated_outside_of_it(bed: str, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(json.dumps(STUDY))
    ran = llem(tmp_path, "run", "study.yaml", "--runner", f"docker:{bed}", "--output", "there")
    assert ran.returncode == 0, ran.stderr
    (there,) = (tmp_path / "there").iterdir()
    bundled = llem(tmp_path, "bundle", there, "-o", "b.zip")
    assert bundled.returncode == 0, bundled.stderr
    verified = llem(tmp_path, "verify", "b.zip")
    assert verified.returncode == 0, verified.stdout + verified.stderr

    ready = llem(tmp_path, "replicate", "b.zip", "--prepare", "-o", "here")
    assert ready.returncode == 0, ready.stderr
    results = [json.loads(path.read_text()) for path in there.glob("experiments/*/result.json")]
    (image,) = {one["environment"]["study"]["runner"]["image_id"] for one in results}
    assert f"image of testbed: was {image} by docker:{bed}" in ready.stderr
    # A figure in an image belongs to it: only who asks for it runs the study elsewhere.
    assert yaml.safe_load((tmp_path / "here" / "study.yaml").read_text())["runners"] == {"testbed": f"docker:{bed}"}
    again = llem(tmp_path, "run", "here/study.yaml", "--runner", "local", "--output", "here/results")
    assert again.returncode == 0, again.stderr
    (here,) = (tmp_path / "here" / "results").iterdir()

    judged = llem(tmp_path, "replicate", "b.zip", "--results", here, "--json")
    document = json.loads(judged.stdout)
    assert judged.returncode == document["exit_code"] in (0, 1, 5), judged.stderr
    assert document["matched_by"] == "configuration", "the environment is no part of a configuration's identity"
    assert document["unlike"] == [], "the machine is the same"
    assert f"runner: was docker:{bed}, is local" in document["changed"]
    versions = {one["environment"]["python"]["version"] for one in results}
    mine = sys.version.split()[0]
    assert any(text.startswith("Python: was ") for text in document["changed"]) == (versions != {mine})
    figures = [one for one in document["figures"] if one["metric"] in ("tokens_per_s", "j_per_output_token")]
    assert len(figures) == 4
    assert all((one["judged"]["n_base"], one["judged"]["n_other"]) == (3, 3) for one in figures)


def test_a_containers_bundle_is_replicated_in_the_same_image(bed: str, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(json.dumps(STUDY | {"sweep": {"testbed.batch_size": [2]}}))
    ran = llem(tmp_path, "run", "study.yaml", "--runner", f"docker:{bed}", "--output", "there")
    assert ran.returncode == 0, ran.stderr
    (there,) = (tmp_path / "there").iterdir()
    assert llem(tmp_path, "bundle", there, "-o", "b.zip").returncode == 0
    done = llem(tmp_path, "replicate", "b.zip", "-o", "here", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == document["exit_code"] in (0, 1, 5), done.stderr
    assert document["changed"] == document["unlike"] == []
    (here,) = (tmp_path / "here" / "results").iterdir()
    results = [json.loads(path.read_text()) for path in here.glob("experiments/*/result.json")]
    assert {one["environment"]["study"]["runner"]["name"] for one in results} == {"docker"}
