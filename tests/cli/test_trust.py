"""A LazyConfig is code: commands run it only where they are told that it may be."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from explorer.cli import app
from explorer.cli.loading import check_trusted
from explorer.config import CONFIGS, config_names

COMMANDS = [
    ("evaluate", "CONFIG", "--data", "DATA"),
    ("predict", "CONFIG", "PHOTO", "--out", "out"),
    ("export", "CONFIG", "--out", "out"),
    ("features", "CONFIG", "PHOTO", "--out", "out"),
    ("receptive-field", "CONFIG"),
    ("improve", "CONFIG", "DATA"),
    ("benchmark", "CONFIG"),
    ("app", "--model", "CONFIG"),
    ("predict", "demo/V-19-slim-dw", "PHOTO", "--config-file", "CONFIG", "--out", "out"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_code_is_not_run_by_naming_it(words: tuple[str, ...], tmp_path: Path) -> None:
    from explorer.data.aerial import make_aerial

    make_aerial(tmp_path / "data", images=1, seed=0, size=(96, 96))
    config = tmp_path / "config.py"
    config.write_text(f"open({str(tmp_path / 'RAN')!r}, 'w')")
    known = {"CONFIG": str(config), "DATA": f"{tmp_path}/data:val", "PHOTO": str(tmp_path / "data/val/000000.jpg")}
    known["out"] = str(tmp_path / "out")
    done = CliRunner().invoke(app, [known.get(word, word) for word in words])
    assert done.exit_code == 2, done.output
    assert done.stderr.strip().count("\n") == 0
    assert "config.py is a LazyConfig, which is executed as Python code" in done.stderr
    assert not (tmp_path / "RAN").exists()


def test_trusted_code_is_run(tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text(f"open({str(tmp_path / 'RAN')!r}, 'w').close()\nraise ValueError('it ran')")
    done = CliRunner().invoke(app, ["benchmark", str(config), "--trust-code"])
    assert done.exit_code == 2
    assert (tmp_path / "RAN").exists()


def test_configs_of_this_package_are_trusted() -> None:
    shipped = [name for name in config_names() if name.endswith(".py")]
    assert shipped
    for name in shipped:
        check_trusted(name, trust_code=False)
        check_trusted(str(CONFIGS / name), trust_code=False)
