"""The tabs that only tell: how to train, and what is installed."""

from __future__ import annotations

from dataclasses import astuple

import gradio as gr

from explorer.text import legible

_TRAIN = """Training takes hours, so it runs in a terminal and not on this page. A data set is a path: a COCO folder.

```
explorer data make aerial aerial --images 2000 --seed 11 --split train
explorer data make aerial aerial --images 200 --seed 12 --split val
python train_net.py --config-file configs/aerial/faster_rcnn_V_19_slim_dw.yaml OUTPUT_DIR output/mine
python app.py --model output/mine/config.yaml --data aerial:val
```

Your own data: `DATASETS.TRAIN '("my_data:train",)' DATASETS.TEST '("my_data:val",)'`; check it first with
`explorer data check my_data`. Another backbone is one key away: `MODEL.VOVNET.CONV_BODY V-39-eSE`. What is cut off goes
on with `--resume`.
"""
_ABOUT = """**VoVNet Explorer** compares detection backbones, shows what they see, and finds out what they miss.
Apache-2.0. The same report: `explorer doctor`."""


def train_tab() -> None:
    """Lays out how to train."""
    gr.Markdown(_TRAIN)


def about_tab(tab: gr.Tab) -> None:
    """Lays out what is installed; it is examined when the tab is opened."""
    gr.Markdown(_ABOUT)
    head = ["", "what", "found", "problem", "what to do"]
    table = gr.Dataframe(headers=head, label="What is installed", interactive=False, wrap=True)
    tab.select(_report, None, table, api_visibility="private")


def _report() -> list[list[str]]:
    from explorer.doctor import examine

    marks = {"ok": "✓", "warning": "!", "error": "✗"}
    rows = (astuple(check) for check in examine().checks)
    return [[marks[status], name, *map(legible, words)] for name, status, *words in rows]
