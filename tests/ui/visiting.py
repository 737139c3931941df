"""A person at the page in a browser: what they do, and what they see."""

from __future__ import annotations

import mimetypes
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from explorer.ui.examples import examples
from explorer.ui.layout.plots import NARROW_PX

ROOT = Path(__file__).resolve().parents[2]
AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text()
"""axe-core 4.10.3, MPL 2.0, unchanged; its licence lies beside it."""
VIOLATIONS = """async more => (await axe.run(document, {resultTypes: ['violations'], ...more})).violations
    .filter(({impact}) => impact === 'serious' || impact === 'critical')
    .map(({id, nodes}) => [id, nodes.map(({html}) => html.slice(0, 200))])"""

COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}
"""The rules that can be broken in one theme alone, which differs from the other in colours."""


class Visit:
    """A person at the page: what they do, and what they see."""

    def __init__(self, page: Any, url: str) -> None:
        self.page, self.url, self.theme = page, url, "light"
        self.elsewhere: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.elsewhere.append(request.url) if not _local(request.url, url) else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def arrive(self, theme: str, asked: str = "") -> None:
        """Opens the page in a theme, with what its address asks for."""
        self.theme = theme
        self.page.goto(f"{self.url}?__theme={theme}{asked}")
        self.page.locator("button.thumbnail-lg").first.wait_for(timeout=60_000)

    @property
    def is_narrow(self) -> bool:
        return bool(self.page.viewport_size["width"] < NARROW_PX)

    def example(self, caption: str) -> None:
        """Clicks an example and waits until it is compared."""
        self.page.locator("button.thumbnail-lg").filter(has_text=caption).click()
        height, width = next(one for one in examples() if one.caption == caption).read().shape[:2]
        self.page.wait_for_timeout(300)
        self._wait_for_size(height, width)

    def drop(self, photo: Path) -> None:
        """Drops a file on the photo's place, as from a folder's window."""
        self.page.get_by_label("Remove Image").first.click()
        kind = mimetypes.guess_type(photo.name)[0] or ""
        files = self.page.evaluate_handle(
            """([name, type, text]) => {
                const files = new DataTransfer();
                files.items.add(new File([Uint8Array.from(atob(text), one => one.charCodeAt(0))], name, {type}));
                return files;
            }""",
            [photo.name, kind, b64encode(photo.read_bytes()).decode()],
        )
        place = self.page.locator("input[type=file]").first.locator("xpath=..")
        place.dispatch_event("drop", {"dataTransfer": files})
        self.page.get_by_label("Remove Image").first.wait_for()

    def choose_files(self, label: str, files: Path | list[str]) -> None:
        """Clicks where files are handed over, chooses some and waits until they are listed."""
        place = self.page.locator(".block:visible", has=self.page.get_by_text(label, exact=True)).last
        with self.page.expect_file_chooser() as chooser:
            place.get_by_text("Click to Upload").click()
        with self.page.expect_response(lambda answer: "/upload?" in answer.url) as answer:
            chooser.value.set_files(files)
        assert answer.value.ok, answer.value.text()
        place.locator(".filename").first.wait_for()

    def upload(self, photo: Path) -> None:
        """Hands over a photo and waits until it is compared."""
        self.drop(photo)
        self.wait_for_photo(photo)

    def telling(self) -> Callable[[], list[str]]:
        """Keeps what is told of progress from now on; returns how to ask for it."""
        self.page.evaluate(
            """() => {
                window.told = new Set();
                const look = () => document.querySelectorAll('.progress-level-inner').forEach(
                    own => window.told.add(own.textContent.trim()));
                new MutationObserver(look).observe(
                    document.body, {childList: true, subtree: true, characterData: true});
            }"""
        )
        return lambda: list(self.page.evaluate("() => [...window.told]"))

    def wait_for_photo(self, photo: Path) -> None:
        """Waits until the pictures are of a photo, and for the tables below them."""
        height, width = cv2.imread(str(photo)).shape[:2]
        self._wait_for_size(height, width)

    def _wait_for_size(self, height: int, width: int) -> None:
        self.page.wait_for_function(
            """size => {
                const photo = document.querySelector('.js-plotly-plot')?.layout?.images?.[0];
                return photo?.sizey === size[0] && photo?.sizex === size[1];
            }""",
            arg=[height, width],
            timeout=60_000,
        )
        self.settle()

    def wait_for_pictures(self, pictures: int = 2) -> None:
        """Waits until as many pictures are drawn, and for the tables below them."""
        self.page.locator(".pictures:visible .imagelayer image").nth(pictures - 1).wait_for(timeout=60_000)
        self.settle()

    def settle(self) -> None:
        """Waits until no progress was shown for 0.4 s: what came is drawn then."""
        self.page.evaluate("() => { window.quiet = 0; }")
        self.page.wait_for_function(
            """() => {
                window.quiet = document.querySelector('.progress-text, .generating, .eta-bar') ? 0 : window.quiet + 1;
                return window.quiet > 8;
            }""",
            polling=50,
            timeout=60_000,
        )

    def press(self, button: str) -> None:
        self.page.locator("button:visible").get_by_text(button, exact=True).first.click()

    def tab(self, name: str) -> None:
        """Opens a tab, from the menu behind the dots if the page is too narrow to show it."""
        tab = self.page.get_by_role("tab", name=name, exact=True)
        if not tab.first.is_visible():
            self.page.locator(".overflow-menu > button").click()
            tab = self.page.locator(".overflow-dropdown button").get_by_text(name, exact=True)
        tab.first.click()
        self.settle()

    def plot(self, place: int = 0) -> Any:
        """What a visible plot holds: traces by name, axes' ranges and the images' sizes."""
        self.page.locator(".js-plotly-plot:visible").nth(place).wait_for(timeout=60_000)
        return self.page.evaluate(
            """place => {
                const plots = [...document.querySelectorAll('.js-plotly-plot')].filter(plot => plot.offsetParent);
                const {_fullData, layout, _fullLayout} = plots[place];
                const axes = Object.keys(_fullLayout).filter(key => /^[xy]axis\\d*$/.test(key));
                return {
                    traces: _fullData.map(({type, name, xaxis, x, text}) => (
                        {type, name, xaxis: xaxis || 'x', x: x && [...x], text})),
                    ranges: Object.fromEntries(axes.map(axis => [axis, _fullLayout[axis].range])),
                    images: (layout.images || []).map(({sizex, sizey}) => [sizey, sizex]),
                    titles: (layout.annotations || []).filter(({bgcolor}) => !bgcolor).map(({text}) => text),
                    width: plots[place].clientWidth,
                };
            }""",
            place,
        )

    def boxes(self, pictures: int = 2) -> list[int]:
        """Number of boxes in each picture, by the plot's own data."""
        counts = {"x" if place == 0 else f"x{place + 1}": 0 for place in range(pictures)}
        for trace in self._found():
            counts[trace["xaxis"]] += len(trace["x"] or ()) // 6
        return list(counts.values())

    def classes(self) -> set[str]:
        """The classes of which there are boxes."""
        return {trace["name"] for trace in self._found()}

    def _found(self) -> list[dict[str, Any]]:
        """The traces of boxes, without their dark edges and what is annotated."""
        return [trace for trace in self.plot()["traces"] if trace["name"] not in ("", "annotated")]

    def table(self, label: str) -> list[list[str]]:
        """The rows of a table that are on the screen, without its head."""
        results = self.page.get_by_role("table", name=label)
        if results.count():
            return [row.get_by_role("cell").all_inner_texts() for row in results.locator("tbody tr").all()]
        rows = self.page.get_by_role("grid", name=label).locator(".virtual-row")
        return [row.get_by_role("gridcell").all_inner_texts() for row in rows.all()]

    def violations(self, *, both_themes: bool = False) -> list[Any]:
        """What axe-core finds serious on the page as it is, in its theme or in both."""
        self.settle()
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.add_style_tag(content="* { transition: none !important; animation: none !important }")
            self.page.evaluate(AXE)
        found = list(self.page.evaluate(VIOLATIONS))
        if both_themes:
            for look in (True, False):
                self.page.evaluate("() => document.body.classList.toggle('dark')")
                self.page.wait_for_timeout(400)  # colours change gradually
                found += self.page.evaluate(VIOLATIONS, COLOURS) if look else []
        return found

    def set_number(self, label: str, value: str) -> None:
        """Types into the box of a slider or a number."""
        box = self.page.get_by_label(label).locator("visible=true").first
        box.fill(value)
        box.press("Enter")

    def shot(self, name: str) -> None:
        """Leaves a picture of the whole page for people to look at."""
        folder = ROOT / "test-results"
        folder.mkdir(exist_ok=True)
        self.page.screenshot(path=folder / f"{name}.png", full_page=True)


def _local(url: str, own: str) -> bool:
    return url.startswith((own, "data:", "blob:"))
