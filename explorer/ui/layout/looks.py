"""How the page looks: fonts, colours that read in both themes, captions that are whole."""

from __future__ import annotations

import gradio as gr

from explorer.figures.style import INK

_WORDS, _WORDS_DARK = "#52525b", "#d4d4d8"
"""Of small print: 7 : 1 on white, 9 : 1 on a dark block."""
THEME = gr.themes.Default(
    primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
).set(
    body_text_color_subdued=_WORDS,
    body_text_color_subdued_dark=_WORDS_DARK,
    block_info_text_color=_WORDS,
    block_info_text_color_dark=_WORDS_DARK,
    block_label_text_color=_WORDS,
    block_label_text_color_dark=_WORDS_DARK,
    block_title_text_color=_WORDS,
    block_title_text_color_dark=_WORDS_DARK,
    input_placeholder_color="#71717a",
    input_placeholder_color_dark="#a1a1aa",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_primary_text_color="white",
)
"""System fonts only: the page needs nothing from the internet."""
_INK = INK.replace("rgb(", "").replace(")", "").replace(",", ", ")
CSS = f"""
.desk {{
    display: grid !important; gap: var(--layout-gap); align-items: start;
    grid-template: "ask answers" auto "more answers" 1fr / minmax(280px, 1fr) minmax(0, 3fr);
}}
.desk > * {{ min-width: 0 !important }}
.ask {{ grid-area: ask }} .more {{ grid-area: more }} .answers {{ grid-area: answers }}
.pictures {{ min-height: 260px }}
.stop {{ display: none }}
.gradio-container:has(.progress-text) .stop {{ display: flex !important }}
.gradio-container:has(.eta-bar) .stop {{ display: flex !important }}
.gradio-container:has(.generating) .stop {{ display: flex !important }}
footer .divider {{ display: none !important }}
.faint, .faint * {{ color: var(--body-text-color-subdued); font-size: .9rem }}
.warnings ul {{
    margin: 0; padding: .5em .8em .5em 2em; border-left: 4px solid #b45309; background: #fef3c7; color: #451a03;
    border-radius: 4px
}}
.dark .warnings ul {{ background: #451a03; color: #fef3c7; border-left-color: #f59e0b }}
.faint ul {{ margin: 0; padding-left: 1.1em }}
.js-plotly-plot .main-svg text[style*="rgb({_INK})"] {{ fill: var(--body-text-color) !important }}
.captioned .thumbnail-lg {{ display: flex; flex-direction: column; height: auto; aspect-ratio: auto }}
.captioned .thumbnail-lg img {{ height: auto; width: 100% }}
.captioned .caption-label {{
    position: static; max-width: none; white-space: normal; overflow: visible; text-overflow: clip; width: 100%;
    border: 0; font-size: .8rem; text-align: left; color: var(--body-text-color)
}}
.captioned .thumbnail-lg:hover .caption-label {{ opacity: 1 !important }}
.captioned [data-testid=block-label] {{ position: static; width: fit-content; max-width: 100% }}
.captioned .grid-wrap {{ max-height: none; min-height: 0; height: auto !important }}
.examples .thumbnail-lg img {{ aspect-ratio: 4 / 3; object-fit: cover }}
.captioned .grid-container {{ grid-template-rows: none; grid-auto-rows: auto; height: auto; align-items: start }}
.magnified .grid-container {{ grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)) !important }}
.misses .grid-container {{ grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)) !important }}
button[role=tab].selected {{ color: #1d4ed8 }}
.dark button[role=tab].selected {{ color: #93c5fd }}
.annotation-text[style*="text-shadow: white"], .annotation-text[style*="text-shadow: rgb"] {{
    text-shadow: {", ".join(["0 0 3px var(--block-background-fill)"] * 6)} !important
}}
.table-wrap th, .table-wrap td, .table-wrap th *, .table-wrap td * {{
    word-break: normal !important; overflow-wrap: normal !important; hyphens: none
}}
.table-wrap th * {{ white-space: nowrap !important }}
.results, .results > div {{ padding: 0 !important }}
.results table {{
    width: 100%; margin: 0; border: 0 !important; border-collapse: collapse; font-size: .9rem;
    font-variant-numeric: tabular-nums
}}
.results tr {{ border: 0 !important }}
.results caption {{ text-align: left; font-size: .8rem; color: var(--body-text-color-subdued); padding: .6em 0 .3em }}
.results th, .results td {{
    padding: .4em .6em !important; border: 0 !important; overflow-wrap: break-word;
    border-bottom: 1px solid var(--border-color-primary) !important
}}
.results tbody tr:nth-child(odd) {{ background: var(--background-fill-secondary) }}
.js-plotly-plot .modebar-group {{ background: none !important }}
@media (hover: none) {{
    .js-plotly-plot .modebar {{ display: none }}
    .pictures .js-plotly-plot .modebar {{ display: block }}
    .pictures .modebar-container {{ top: auto !important; bottom: 32px }}
}}
:focus-visible {{ outline: 3px solid #2563eb !important; outline-offset: 2px }}
.dark :focus-visible {{ outline-color: #93c5fd !important }}
@media (max-width: 900px) {{ .desk {{ grid-template: "ask" auto "answers" auto "more" auto / minmax(0, 1fr) }} }}
@media (max-width: 600px) {{
    .gradio-container {{ padding: 8px !important }}
    .gradio-container main {{ padding: 4px !important }}
    .results table {{ font-size: .72rem }}
    .results th, .results td {{ padding: .3em .15em !important }}
    .table-wrap .cell-wrap, .table-wrap .sizing-body td {{ padding: 3px 2px !important; min-height: 0 !important }}
    .table-wrap .header-content {{ padding: 0 !important }}
    .table-wrap :is(.header-cell, .body-cell, td, span, .cell-wrap) {{ font: .75rem var(--font) !important }}
    .table-wrap .cell-menu-button {{ display: none !important }}
    pre, pre code {{ white-space: pre-wrap !important; overflow-wrap: anywhere }}
    .captioned:not(.examples) .grid-container {{ grid-template-columns: repeat(2, minmax(0, 1fr)) !important }}
}}
"""

NAME_PICTURES = """() => {
    const name = () => document.querySelectorAll('img').forEach(picture => {
        const block = picture.closest('.block');
        const label = block?.querySelector('[data-testid=block-label], .block-label, label')?.textContent.trim();
        if (!picture.alt) picture.alt = label || 'Picture';
    });
    const named = () => document.querySelectorAll('div.empty[aria-label]:not([role])').forEach(
        own => own.setAttribute('role', 'group'));
    const removed = () => document.querySelectorAll('.token').forEach(token => {
        const button = token.querySelector('.token-remove');
        const words = `Remove ${token.textContent.trim()}`;
        if (button && button.title !== words) button.title = words;
    });
    const told = () => document.querySelectorAll('.toast-header[role=button]').forEach(own => {
        own.removeAttribute('role');
        own.removeAttribute('tabindex');
    });
    const both = () => { name(); named(); removed(); told(); };
    new MutationObserver(both).observe(document.body, {childList: true, subtree: true});
    both();
}"""
"""Script for a browser: pictures without a text in their place, which Gradio leaves, get their block's label, names
stand only where screen readers expect them, a button that removes a choice says which, and no
button holds another."""
