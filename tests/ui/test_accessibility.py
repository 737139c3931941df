"""Every tab in both themes and at both widths as axe-core judges it, and what it cannot: focus, names, broken heads."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.browser
USUAL_LOOK = "narrow-dark"

TABS = ("Compare", "Features", "Receptive field", "Errors", "Speed and accuracy", "Train", "About")
CONTRASTS = """place => {
    const rgb = words => (words.match(/[\\d.]+/g) || []).map(Number);
    const luminance = color => color.slice(0, 3).map(value => value / 255)
        .map(unit => unit <= 0.04045 ? unit / 12.92 : ((unit + 0.055) / 1.055) ** 2.4)
        .reduce((sum, own, place) => sum + own * [0.2126, 0.7152, 0.0722][place], 0);
    const ground = element => {
        for (let own = element; own; own = own.parentElement) {
            const color = rgb(getComputedStyle(own).backgroundColor);
            if (color.length === 3 || color[3] === 1) return color;
        }
        return [255, 255, 255];
    };
    const elsewhere = '.hoverlayer, .heatmap-label';  // on a ground of their own
    const drawn = [...document.querySelectorAll(`${place || ''} .js-plotly-plot text`)].filter(own =>
        own.textContent.trim() && own.checkVisibility() && !own.closest(elsewhere));
    const written = place ? [...document.querySelectorAll(`${place} *`)].filter(own =>
        own instanceof HTMLElement && own.checkVisibility() && [...own.childNodes].some(
            one => one.nodeType === 3 && one.textContent.trim())) : [];
    return [...drawn, ...written].map(own => {
        const behind = own.closest('.annotation-text-g')?.querySelector('.bg');
        const box = behind && getComputedStyle(behind), style = getComputedStyle(own);
        const bar = own.closest('.point')?.querySelector('path'), at = own.getBoundingClientRect();
        const [top, bottom] = bar ? [bar.getBoundingClientRect().top, bar.getBoundingClientRect().bottom] : [0, 0];
        const back = box && +box.fillOpacity && box.fill !== 'none' && +box.opacity ? rgb(box.fill)
            : bar && top < at.bottom && at.top < bottom ? rgb(getComputedStyle(bar).fill) : ground(own);
        const ink = rgb(own instanceof SVGElement ? style.fill : style.color);
        const pair = [luminance(ink), luminance(back)].sort((one, other) => one - other);
        return [own.textContent, (pair[1] + 0.05) / (pair[0] + 0.05)];
    });
}"""
"""Script for a browser: words of figures with the contrast to their ground; in a place that is given, all words."""


CUT = """() => [...document.querySelectorAll('.js-plotly-plot text')].filter(own => {
    const plot = own.closest('.js-plotly-plot'), box = own.getBoundingClientRect();
    const frame = plot.getBoundingClientRect();
    return plot.offsetParent && box.width && (box.left < frame.left - 1 || box.right > frame.right + 1);
}).map(own => own.textContent)"""
"""Script for a browser: the words of figures that reach over their edge."""


NAMELESS = """() => [...document.querySelectorAll('img, input, textarea, button, select, [role=slider]')].filter(own =>
    own.offsetParent && (own.tagName === 'IMG' ? !own.alt && own.getAttribute('role') !== 'presentation' :
        !(own.getAttribute('aria-label') || own.title || own.textContent.trim() || own.labels?.length ||
            own.querySelector('img[alt]')))
).map(own => own.outerHTML.slice(0, 200))"""
"""Script for a browser: visible pictures and controls that have no name."""


def test_axe_finds_nothing_serious_on_any_tab_and_every_picture_and_control_has_a_name(look: Any) -> None:
    found = {}
    for tab in TABS:
        look.tab(tab)
        found[tab] = [*look.violations(), *look.page.evaluate(NAMELESS)]
    assert found == {tab: [] for tab in TABS}


def test_the_keyboard_reaches_all_there_is_to_do_and_shows_where_it_is(look: Any) -> None:
    look.page.reload()
    look.wait_for_pictures()
    reached, outlines = set(), set()
    for _ in range(70):
        look.page.keyboard.press("Tab")
        name, outline = look.page.evaluate(
            """() => {
                const own = document.activeElement;
                const name = own.getAttribute('aria-label') || own.labels?.[0]?.textContent || own.textContent;
                return [name.trim().slice(0, 40), getComputedStyle(own).outlineStyle];
            }"""
        )
        reached.add(name)
        outlines.add(outline)
    wanted = ("Compare", "Features", "Thumbnail 1", "small", "Download as PNG")
    missing = [one for one in wanted if not any(name.startswith(one) for name in reached)]
    assert not missing, sorted(reached)
    assert outlines - {"none"}


def test_no_head_of_a_table_is_broken(look: Any) -> None:
    look.tab("Compare")
    heads = look.page.evaluate(
        """() => [...document.querySelectorAll('th span')].filter(own => own.offsetParent).filter(
            own => own.getClientRects().length > 1).map(own => own.textContent)"""
    )
    assert heads == []
