"""What the README and docs promise exists: tables are the registry's, files, configs and commands are there."""

import re
import runpy
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from explorer.cli import app
from explorer.config import config_path
from explorer.zoo.registry import get, remarks

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
MODELS = (ROOT / "docs" / "models.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
DOCS = sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "docs/guides").glob("*.md")])
PAGES = {"README.md": README} | {path.relative_to(ROOT).as_posix(): path.read_text() for path in DOCS}
TEXT = "\n".join(PAGES.values())
WORKFLOWS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
STEPS = [step for workflow in WORKFLOWS for job in workflow["jobs"].values() for step in job["steps"]]
RUN_IN_CI = [
    line for step in STEPS for line in step.get("run", "").replace("\\\n", "").splitlines() if "explorer" in line
]


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


PLACES = re.findall(r"`((?:explorer|tools)/[\w/.]+)`", CONTRIBUTING)


@pytest.mark.parametrize("place", sorted(set(PLACES)))
def test_where_a_change_goes_is_there(place):
    assert (ROOT / place).exists()


SHOWN = re.findall(r"^(?:\$ )?(explorer [a-z].+)$", TEXT.replace("\\\n", ""), re.MULTILINE)


@pytest.mark.parametrize("line", [*SHOWN, *RUN_IN_CI])
def test_every_command_shown_is_understood(line):
    words = shlex.split(line)[1:]
    group = words[:2] if words[0] in {"data", "zoo"} else words[:1]
    result = CliRunner().invoke(app, [*group, "--help"])
    assert result.exit_code == 0
    for option in (word for word in words if word.startswith("--")):
        assert option in result.output or words[:2] == ["data", "make"]


def test_the_workflow_is_one_that_github_reads():
    """Its keys are those of GitHub's documentation; `on` is a truth value for YAML 1.1 and a text for GitHub."""
    (workflow,) = WORKFLOWS
    assert workflow[True] == "pull_request"
    (job,) = workflow["jobs"].values()
    assert job["runs-on"] == "ubuntu-latest"
    assert all({"uses", "run"} & step.keys() and step.keys() <= {"name", "uses", "run", "if", "with"} for step in STEPS)
    assert [line.split()[1] for line in RUN_IN_CI] == ["evaluate", "compare"]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"--config-file (\S+)", TEXT))))
def test_every_config_shown_is_shipped(name):
    assert config_path(name).is_file()


MODEL = r"(?:evaluate|predict|show|MODEL\.WEIGHTS) (demo/\S+|timm/\S+|\w+_3x)"


@pytest.mark.parametrize("name", sorted(set(re.findall(MODEL, TEXT))))
def test_every_model_shown_is_in_the_zoo(name):
    assert get(name).name == name
