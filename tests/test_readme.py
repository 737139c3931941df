"""What the README and docs promise exists: tables are the registry's, files, configs and commands are there."""

import re
import runpy
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from explorer.cli import app
from explorer.config import config_path
from explorer.zoo.registry import get, remarks

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
MODELS = (ROOT / "docs" / "models.md").read_text()
PAGES = {"README.md": README} | {f"docs/{path.name}": path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
TEXT = "\n".join(PAGES.values())


def test_the_model_tables_are_the_registrys_and_the_cards():
    tables = runpy.run_path(str(ROOT / "tools" / "model_table.py"))
    table = tables["table"]()
    assert table.count("\n") == 1 + 24 + 16
    assert table in MODELS
    assert all(remark in " ".join(MODELS.split()) for remark in remarks())
    assert tables["demo_table"]() in MODELS


LINKS = [(page, target) for page, text in PAGES.items() for target in re.findall(r"\]\(((?!http)[^)#]+)", text)]


@pytest.mark.parametrize(("page", "target"), sorted(set(LINKS)))
def test_linked_files_are_there(page, target):
    assert (ROOT / page).parent.joinpath(target).is_file()


@pytest.mark.parametrize("command", ["app", "test"])
def test_the_two_commands_are_make_targets(command):
    assert f"make {command} " in README
    assert re.search(rf"^{command}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("line", re.findall(r"^\$ (explorer .+)$", TEXT, re.MULTILINE))
def test_every_command_shown_is_understood(line):
    words = shlex.split(line)[1:]
    group = words[:2] if words[0] in {"data", "zoo"} else words[:1]
    result = CliRunner().invoke(app, [*group, "--help"])
    assert result.exit_code == 0
    for option in (word for word in words if word.startswith("--")):
        assert option in result.output or words[:2] == ["data", "make"]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"--config-file (\S+)", TEXT))))
def test_every_config_shown_is_shipped(name):
    assert config_path(name).is_file()


MODEL = r"(?:evaluate|predict|show|MODEL\.WEIGHTS) (demo/\S+|timm/\S+|\w+_3x)"


@pytest.mark.parametrize("name", sorted(set(re.findall(MODEL, TEXT))))
def test_every_model_shown_is_in_the_zoo(name):
    assert get(name).name == name
