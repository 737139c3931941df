"""MkDocs hooks of the documentation site: pages from outside `docs/`, the API reference, and llms.txt.

README, the tutorials and the project's own pages are shown as they are in the repository, so that nothing is written
twice. Links between them become links between pages; a link to any other file of the repository leads to a copy of it.
"""

from __future__ import annotations

import ast
import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "notebooks/README.md": "notebooks/index.md",
}
"""Page by file, for what lies outside `docs/`."""
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
NOTEBOOK_LINK = re.compile(r'href="(?![a-z]+:|#)([^"#]+\.(?:md|ipynb))(#[^"]*)?"')
FOLDER_LINK = re.compile(r"\[([^]]+)\]\(([^)\s#:]+)\)")
INTERVAL = re.compile(r"\[[+−-]?[\d.]+ ?%?, [+−-]?[\d.]+ ?%?\]")
NO_PROSE = re.compile(r"[#!|<{]|```|[-*] |\d+\.")
REFERENCE = "reference"


def reference_groups(stub: str) -> dict[str, list[str]]:
    """Returns where each public name of `explorer/__init__.pyi` is defined, in its order, by its group's comment.

    The full path tells the function `explorer.autopsy` from the package of that name.
    """
    lines = stub.splitlines()
    groups: dict[str, list[str]] = {}
    for node in ast.parse(stub).body:
        if not isinstance(node, ast.ImportFrom):
            continue
        above = lines[node.lineno - 2]
        if above.startswith("# "):
            groups[above.removeprefix("# ")] = []
        groups[next(reversed(groups))] += [f"explorer.{node.module}.{alias.name}" for alias in node.names]
    return groups


def _slug(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-")


def _groups() -> dict[str, list[str]]:
    return reference_groups((ROOT / "explorer/__init__.pyi").read_text(encoding="utf-8"))


def on_config(config: MkDocsConfig) -> None:
    """Puts a page for each group of public names where the navigation says `reference`."""
    pages = [{title: f"{REFERENCE}/{_slug(title)}.md"} for title in _groups()]
    for entry in config.nav or ():
        for title, value in entry.items():
            if value == REFERENCE:
                entry[title] = pages


@event_priority(100)  # before the plugin that takes over notebooks
def on_files(files: Files, config: MkDocsConfig) -> None:
    """Adds the pages from outside `docs/`, the reference, and copies of the files that pages link to."""
    for path, uri in PAGES.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        uri = f"notebooks/{notebook.name}"
        files.append(File(uri, str(ROOT), config.site_dir, config.use_directory_urls))
    for title, names in _groups().items():
        functions_first = sorted(names, key=lambda name: name.rpartition(".")[2][0].isupper())
        content = "\n\n".join([f"# {title}", *(f"::: {name}" for name in functions_first)])
        files.append(File.generated(config, f"{REFERENCE}/{_slug(title)}.md", content=content))
    for path in sorted({path for page in files.documentation_pages() for path in _linked_sources(page, files)}):
        files.append(File.generated(config, _copy_uri(path), abs_src_path=str(ROOT / path)))


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Makes links between files of the repository links between pages."""
    if not (origin := _origin(page.file)):
        return markdown
    here = posixpath.dirname(page.file.src_uri) or "."

    def link(match: re.Match[str]) -> str:
        path = _resolved(origin, match[1])
        uri = _page_uri(path)
        if files.get_file_from_path(uri) is None:
            uri = _copy_uri(path)
        return posixpath.relpath(uri, here) + (match[2] or "")

    def unlink_folder(match: re.Match[str]) -> str:
        return f"{match[1]} (`{path}/`)" if (ROOT / (path := _resolved(origin, match[2]))).is_dir() else match[0]

    return LINK.sub(link, FOLDER_LINK.sub(unlink_folder, markdown))


def on_page_content(html: str, page: Page, files: Files, **_: Any) -> str:
    """Keeps intervals in one line; makes links of a tutorial, which its plugin converts, links between pages."""
    html = INTERVAL.sub(lambda match: match[0].replace(" ", "\N{NO-BREAK SPACE}"), html)
    if not page.file.src_uri.endswith(".ipynb"):
        return html

    def link(match: re.Match[str]) -> str:
        uri = _page_uri(_resolved(page.file.src_uri, match[1]))
        target = files.get_file_from_path(uri)
        if target is None:
            raise PluginError(f"{page.file.src_uri} links to {match[1]}, which is on no page of the site.")
        return f'href="{target.url_relative_to(page.file)}{match[2] or ""}"'

    return NOTEBOOK_LINK.sub(link, html)


def on_nav(nav: Navigation, **_: Any) -> None:
    """Keeps the pages in their order, for llms.txt."""
    global _pages
    _pages = list(nav.pages)


_pages: list[Page] = []


def on_post_build(config: MkDocsConfig) -> None:
    """Writes llms.txt: what the project is, and each page with its first sentence (llmstxt.org)."""
    lines = [f"# {config.site_name}", "", f"> {config.site_description}", ""]
    for section, pages in _by_section().items():
        lines += [f"## {section}", "", *map(_entry, pages), ""]
    (Path(config.site_dir) / "llms.txt").write_text("\n".join(lines), encoding="utf-8")


def _by_section() -> dict[str, list[Page]]:
    sections: dict[str, list[Page]] = {}
    for page in _pages:
        top = [str(section.title) for section in page.ancestors][-1:] or ["Start"]
        sections.setdefault(top[0], []).append(page)
    return sections


def _entry(page: Page) -> str:
    summary = _summary(page)
    return f"- [{page.title}]({page.url or './'})" + (f": {summary}" if summary else "")


def _summary(page: Page) -> str:
    """The first sentence of a page's text; of a page of the reference, its names."""
    text = _first_cell(page.file) if page.file.src_uri.endswith(".ipynb") else page.markdown or ""
    if names := re.findall(r"^::: explorer\.(?:\w+\.)*(\w+)", text, re.MULTILINE):
        return ", ".join(names)
    paragraphs = (part.strip() for part in text.split("\n\n"))
    prose = next((part for part in paragraphs if part and not NO_PROSE.match(part)), "")
    plain = re.sub(r"[`*]|<[^>]*>", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", " ".join(prose.split())))
    return re.split(r"(?<=[.?])\s|:$", plain)[0]


def _first_cell(notebook: File) -> str:
    cells = json.loads(notebook.content_string)["cells"]
    return "".join(cells[0]["source"])


def _linked_sources(page: File, files: Files) -> Iterator[str]:
    """The repository's files, not pages or pictures of the site, that a page links to."""
    origin = _origin(page)
    if not origin or not origin.endswith(".md"):
        return
    for match in LINK.finditer((ROOT / origin).read_text(encoding="utf-8")):
        path = _resolved(origin, match[1])
        if (ROOT / path).is_file() and files.get_file_from_path(_page_uri(path)) is None:
            yield path


def _origin(page: File) -> str | None:
    """The file of the repository that a page shows, None for a page that is made."""
    if page.abs_src_path is None:
        return None
    return Path(page.abs_src_path).relative_to(ROOT).as_posix()


def _resolved(origin: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))


def _page_uri(path: str) -> str:
    """The page that shows a file; a file that no page shows stays what it is."""
    return PAGES.get(path, path.removeprefix("docs/"))


def _copy_uri(path: str) -> str:
    """Where a linked file is copied to: as text, so that a browser shows it."""
    return f"source/{path}.txt"
