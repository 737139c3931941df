"""YAML files with bases and aliases mean what detectron2 takes them for; `tests/hostile` has those that are refused."""

from pathlib import Path

import pytest
from detectron2.config import CfgNode

from explorer.config.files import read_yaml
from explorer.engine.training.weights import started_with
from explorer.reading_yaml import load_yaml


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / f"{next(iter(texts))}.yaml"


@pytest.mark.parametrize(
    "texts",
    [
        {"x": "A: {B: 1, C: [1, {D: 2}]}\nE: ~"},
        {"x": "_BASE_: y.yaml\nA: {B: 2}", "y": "A: {B: 1, C: 3}"},
        {"x": "_BASE_: [y.yaml, ./z.yaml]\nA: {B: 2}", "y": "A: {B: 1, C: 3}", "z": "A: {C: 4}\nF: 1"},
        {"x": "_BASE_: y.yaml", "y": "_BASE_: z.yaml\nA: 1", "z": "A: 2\nB: 3"},
        {"x": "A: &a {B: 1}\nC: *a\nD: &d [1, 2]\nE: [*d, *d]"},
        {"x": "A: &a {B: 1, C: 2}\nD: {<<: *a, B: 3}"},
    ],
    ids=["plain", "base", "two bases", "base of a base", "aliases", "merge"],
)
def test_bases_and_aliases_are_followed_as_detectron2_follows_them(texts, tmp_path):
    path = write(tmp_path, **texts)
    assert read_yaml(path) == CfgNode.load_yaml_with_base(str(path), allow_unsafe=False)


def test_a_base_may_be_absolute_or_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "below").mkdir()
    write(tmp_path, y="A: 1")
    for base in ("~/y.yaml", str(tmp_path / "y.yaml"), "../y.yaml"):
        assert read_yaml(write(tmp_path / "below", x=f"_BASE_: {base}")) == {"A": 1}


def test_one_base_may_be_reached_in_two_ways(tmp_path):
    path = write(tmp_path, x="_BASE_: [y.yaml, z.yaml]", y="_BASE_: w.yaml", z="_BASE_: w.yaml\nB: 2", w="A: 1")
    assert read_yaml(path) == {"A": 1, "B": 2}


def test_what_an_alias_shares_is_overwritten_in_one_place(tmp_path):
    path = write(tmp_path, x="_BASE_: y.yaml\nA: {B: {C: 2}}", y="A: &a {B: {C: 1}}\nD: *a")
    assert read_yaml(path) == {"A": {"B": {"C": 2}}, "D": {"B": {"C": 1}}}


def test_a_damaged_config_of_a_run_is_named(tmp_path):
    (tmp_path / "last_checkpoint").write_text("model_final.pth")
    write(tmp_path, config="MODEL: {WEIGHTS: a}\nMODEL: {WEIGHTS: b}")
    with pytest.raises(ValueError, match=r"config\.yaml is not a YAML configuration: the key MODEL has two values"):
        started_with(tmp_path, [])


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"x\.yaml cannot be read \(No such file or directory\)"):
        load_yaml(tmp_path / "x.yaml")
