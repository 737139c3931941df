"""The documentation site: what its hooks add. `make docs`, which CI runs, builds it strictly."""

from __future__ import annotations

import importlib.util
from types import ModuleType, SimpleNamespace

import pytest

import explorer
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def site() -> ModuleType:
    pytest.importorskip("mkdocs", reason="the documentation site's packages are not installed: make setup")
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "tools/site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_has_every_public_name_once(site: ModuleType) -> None:
    groups = site.reference_groups((ROOT / "explorer/__init__.pyi").read_text())
    paths = [path for group in groups.values() for path in group]
    assert sorted(path.rpartition(".")[2] for path in paths) == sorted(set(explorer.__all__) - {"__version__"})
    assert "explorer.api.autopsy.autopsy" in paths  # the function, not the package explorer.autopsy
    assert all(groups.values())


def test_a_name_without_a_comment_above_belongs_to_the_group_before(site: ModuleType) -> None:
    stub = "# First\nfrom .a import b as b\nfrom .a import c as c\n\n# Second\nfrom .d.e import f as f\n"
    assert site.reference_groups(stub) == {"First": ["explorer.a.b", "explorer.a.c"], "Second": ["explorer.d.e.f"]}


def test_an_interval_stays_in_one_line(site: ModuleType) -> None:
    html = "<td>33.6 [31.0, 36.1]</td><td>−3.8 [−7.9, +0.3]</td><td>a [list, of words]</td>"
    page = SimpleNamespace(file=SimpleNamespace(src_uri="results/accuracy.md"))
    kept = site.on_page_content(html, page, files=None)
    assert [cell.count("\N{NO-BREAK SPACE}") for cell in kept.split("</td>")] == [1, 1, 0, 0]
