"""The tabs that only tell: how to train, and what is installed."""

from __future__ import annotations

from dataclasses import astuple

import gradio as gr

from explorer.ui.tables import html_table

_TRAIN = """Training takes minutes to hours, so it runs in a terminal rather than on this page. A data set is given by
its path, for example a folder in COCO format.

```
python train_net.py --config-file aerial/faster_rcnn_V_19_slim_dw --num-gpus 0 MODEL.WEIGHTS demo/V-19-slim-dw \\
    DATASETS.TRAIN '("my_data:train",)' DATASETS.TEST '("my_data:val",)' SOLVER.MAX_ITER 300 TEST.EVAL_PERIOD 100 \\
    OUTPUT_DIR output/mine
explorer evaluate output/mine --data my_data:val
python app.py --model output/mine --data my_data:val
```

The folder of the run can be used as a model: it refers to the best checkpoint in validation, otherwise the final one,
otherwise the last. Check your data first with `explorer data check my_data`. To generate example data, run `explorer
data make aerial my_data --images 200 --split train`, and again with `--split val`. To use another backbone, set
`MODEL.VOVNET.CONV_BODY V-39-eSE`. An interrupted run continues with `--resume`."""
_ABOUT = """**VoVNet Explorer** compares detection backbones, shows what they respond to, and explains what they miss.
Licence: Apache-2.0. `explorer doctor` prints the same report."""

_MOST = 600
"""Letters of what the report says of a package."""


def train_tab() -> None:
    """Lays out how to train."""
    gr.Markdown(_TRAIN)


def about_tab(tab: gr.Tab) -> None:
    """Lays out what is installed; it is examined when the tab is opened."""
    gr.Markdown(_ABOUT)
    table = gr.HTML(elem_classes="results", padding=False)
    tab.select(_report, None, table, api_visibility="private")


def _report() -> str:
    from explorer.doctor import examine

    marks = {"ok": "✓", "warning": "!", "error": "✗"}
    rows = ((marks[status], name, *words) for name, status, *words in map(astuple, examine().checks))
    return html_table(("", "what", "found", "problem", "what to do"), rows, caption="What is installed", most=_MOST)
