"""The command line as a student has it: through the public name, with nothing but the access file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .running import Done
from .site import Lab


def ask(lab: Lab, title: str, *words: str) -> Any:
    """A command's --json document; it has to end with 0."""
    done = lab.client(title, *words, "--json", "--quiet").ended_well()
    return json.loads(done.output)


def test_the_doctor_finds_every_hop_well(lab: Lab, deployed: Done) -> None:
    said = json.loads(lab.client("doctor", "doctor", "--edit", "--json").ended_well().output.splitlines()[-1])
    assert said["ok"]
    names = [hop["name"] for hop in said["hops"]]
    assert names[:5] == ["name", "port", "certificate", "door", "token"]
    card = next(hop for hop in said["hops"] if hop["name"] == "card")
    assert "NVIDIA GeForce RTX 3090" in card["found"]


def test_every_shipped_workflow_can_run_here(lab: Lab, deployed: Done) -> None:
    said = ask(lab, "validate", "validate")
    assert not any(said["workflows"].values()), said


def test_a_batch_is_made_once(lab: Lab, deployed: Done, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text('name,prompt,width,height,steps\none,a cat,256,256,2\ntwo,"a dog, running",256,256,2\n')
    words = ("batch", str(rows), "--workflow", "text-to-image", "--out-dir", str(tmp_path / "out"))
    assert ask(lab, "batch", *words)["made"] == 2
    assert ask(lab, "batch-again", *words)["there_before"] == 2


def test_a_token_that_nobody_knows_is_told_as_such(lab: Lab, deployed: Done, tmp_path: Path) -> None:
    wrong = tmp_path / "token"
    wrong.write_text("0" * 64)
    wrong.chmod(0o600)
    done = lab.client("doctor-wrong-token", "doctor", "--json", "--token-file", str(wrong))
    assert done.code == 1
    hops = {hop["name"]: hop["state"] for hop in json.loads(done.output)["hops"]}
    assert (hops["door"], hops["token"], hops["card"]) == ("ok", "wrong", "not reached")
