"""The tab of speed and accuracy: as recorded, and measured on this machine."""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.figures.words import waiting
from explorer.ui.actions.photos import read_photo
from explorer.ui.actions.speed import TASKS, TIMES, Task, as_rows, inputs_of, measure, on_own_images, pareto
from explorer.ui.layout.session import SHORT, Desk, explained
from explorer.ui.tables import html_table

_SAYS = """**Recorded**: published box AP on COCO val2017 against time per image, all models under the same conditions.
Selected models are highlighted by a ring. **V2-19**, V2-19-Slim and V2-19-DW are light detectors with a pyramid of 128
channels (FPNLite); **V2-19-FPN** is the backbone of V2-19 with the usual pyramid of 256 channels."""
_HERE = """**On this machine**: the selected models on the selected photo, in rounds in which each model runs once, so
that changes in the machine's load affect all models equally. Each model scales the photo to its own input size, so
these are times of whole detectors, not of backbones alone. Ratios are computed within a round."""

_HEAD = ("model", "input, px", "median, ms", "fastest, ms", "slowest, ms", "ratio to the first (min to max)")


def speed_tab(desk: Desk, photo: gr.Image, models: gr.Dropdown, width: gr.Number, tab: gr.Tab) -> None:
    """Lays out the tab."""
    gr.Markdown(_SAYS)
    with gr.Row():
        task = gr.Radio(list(TASKS), value=TASKS[0], label="Task")
        times_of = gr.Radio(list(TIMES), value=next(iter(TIMES)), label="Time on")
    plot = gr.Plot(label="AP against time", show_label=False)
    without = gr.Markdown(elem_classes="faint")
    own = gr.Plot(label="AP of each model on test images of its own domain", show_label=False, visible=False)
    gr.Markdown(_HERE)
    with gr.Row():
        run = gr.Button("Measure on this machine", variant="primary", min_width=160)
        stop = gr.Button("Stop", elem_classes="stop", min_width=120)
    times = gr.Plot(waiting("Choose a photo and models, then press Measure."), label="Times by round", show_label=False)
    table = gr.HTML(visible=False, elem_classes="results", padding=False)

    @explained
    def measure_models(
        image: str | None,
        names: list[str],
        request: gr.Request,
        bar: gr.Progress = gr.Progress(),  # noqa: B008 - gradio looks for this default
    ) -> Any:
        from explorer.figures.speed import measured_times

        pixels = read_photo(image)
        seconds = measure(desk.models, names, pixels, progress=desk.telling(bar, request))
        rows = as_rows(seconds, inputs_of(desk.models, names, pixels))
        words = html_table(_HEAD, rows, caption="Time per photo, whole detector")
        return measured_times(seconds), gr.update(value=words, visible=True)

    def draw(of: Task, on: str, names: list[str], wide: float) -> Any:
        names = [name for name in names if not desk.models.is_file(name)]
        figure, words = pareto(of, on, names, width_px=int(wide))
        beside = on_own_images(names)
        return figure, words, gr.update(value=beside, visible=beside is not None)

    for trigger in (task.change, times_of.change, models.change, width.change, tab.select):
        trigger(
            draw,
            [task, times_of, models, width],
            [plot, without, own],
            show_progress="hidden",
            api_visibility="private",
        )
    run.click(
        measure_models, [photo, models], [times, table], show_progress_on=times, api_visibility="private", **SHORT
    )
    stop.click(desk.stop, queue=False, api_visibility="private")
