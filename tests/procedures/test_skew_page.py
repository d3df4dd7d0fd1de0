"""docs/skew.md: its commands work, the keys that it names are keys, the causes that it names are causes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from proofload.overrides import parsed
from proofload.procedures.skew import FEATURES, Settings
from proofload.scenarios import load_scenario
from proofload.verdict.causes import CAUSES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "skew.md").read_text(encoding="utf-8")


def commands(kind: str) -> list[str]:
    blocks = re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of orders, in which serving has each customer's count of the order before."""
    here = tmp_path_factory.mktemp("skew")
    rng = np.random.default_rng(8)
    rows = 1_200
    training = pd.DataFrame(
        {
            "order_id": [f"o{number}" for number in range(rows)],
            "customer": [f"c{number}" for number in rng.integers(0, 150, rows)],
            "at": 1_750_000_000 + np.arange(rows) * 977,
            "amount": np.round(rng.lognormal(3, 1, rows), 2),
            "orders_30d": rng.integers(0, 12, rows),
        }
    )
    old = training.groupby("customer")["orders_30d"].shift(1).fillna(training["orders_30d"]).astype(int)
    training.to_csv(here / "training.csv", index=False)
    training.assign(orders_30d=old).sample(frac=1, random_state=1).to_csv(here / "served.csv", index=False)
    return here


@pytest.mark.parametrize("command", commands("console"))
def test_a_command_on_files_works_as_written(command: str, folder: Path) -> None:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        shlex.split(command), cwd=folder, env={**os.environ, "PATH": programs}, check=False, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    told = done.stdout + done.stderr
    assert done.returncode in {0, 1, 3}, told
    assert "Traceback" not in told
    if "entity" in command:
        assert "(staleness)" in told


@pytest.mark.parametrize("command", commands("console long"))
def test_a_command_on_a_server_names_what_exists(command: str) -> None:
    program, verb, name, *words = shlex.split(command)
    assert (program, verb, name) == ("proofload", "run", "skew")
    assert {word for word in words if word.startswith("--")} <= {
        "--quick", "--target", "--set", "--reference", "--key",
    }  # fmt: skip
    settings = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    load_scenario(name, quick="--quick" in words, overrides=parsed(settings).scenario)


def test_the_blocks_are_found_and_two_files_are_told_by_entity() -> None:
    assert len(commands("console")) >= 3
    assert len(commands("console long")) >= 3
    assert any("entity" in command for command in commands("console"))


def test_the_keys_and_files_that_it_names_are_there() -> None:
    tables = re.findall(r"^\| (`[^|]*) \|", PAGE, re.MULTILINE)
    first = {name for cell in tables for name in re.findall(r"`([a-z_]+)", cell)}
    keys = first - {code for code in first if code in CAUSES}
    codes = {code for cell in tables for code in re.findall(r"`([a-z-]+)`", cell)}
    assert {"entity", "timestamp", "age", "columns"} <= keys
    assert {name for name in keys if name in Settings.model_fields} >= {"entity", "timestamp", "max_age", "rtol"}
    unknown = {code for code in codes if code not in CAUSES and code not in Settings.model_fields}
    assert not unknown
    assert FEATURES[0] in PAGE


def test_every_default_that_it_states_is_the_program_s() -> None:
    stated = dict(re.findall(r"`([a-z_]+)` \(([\d.e-]+)\)", PAGE))
    assert stated
    for name, value in stated.items():
        assert Settings.model_fields[name].default == float(value), name


def test_the_readme_leads_to_it() -> None:
    assert "(docs/skew.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
