# %% [markdown]
# # 6 · Browse in FiftyOne
#
# **Which photos are behind a figure, and are the labels correct?** A table shows how many small objects are missed;
# here you look at each of them. We import a data set and two runs into FiftyOne, open the App in the notebook, correct
# a label, and export the annotations in COCO format for training.
#
# `explorer browse` does the same from the command line.

# %%
from explorer.ui.widgets import counting, silence

silence()  # warnings of libraries, about which a reader can do nothing

# %% tags=["parameters"]
DATA = None  # a COCO folder, PATH[:SPLIT]; None makes aerial scenes on the spot
MODEL = "demo/V-19-slim-dw"  # a detector of the zoo, or the folder of a run
RIVAL = "demo/MobileNetV2"  # what it is compared with
IMAGES = 16  # scenes to make, where DATA is None
APP = True  # whether to open the App
OUT = "output/tutorial"

# %%
import plotly.graph_objects as go

from explorer.browser.build import build
from explorer.browser.database import connect
from explorer.browser.export import write_corrected
from explorer.browser.runs import as_runs
from explorer.browser.serve import show
from explorer.browser.views import save_views, small_misses
from explorer.data.aerial import make_aerial
from explorer.report.tables import Grid
from explorer.scoring.runs import read_truth

# %% [markdown]
# ## How is a data set imported?
#
# FiftyOne stores samples in its own MongoDB, which it starts automatically. Models are evaluated first, as by
# `explorer evaluate`, and their runs are cached; data that is already in the database is not imported again.

# %%
connect()
if not DATA:
    make_aerial(f"{OUT}/browse-{IMAGES}", images=IMAGES, seed=31, workers=1)
data = DATA or f"{OUT}/browse-{IMAGES}:val"
with counting("running the models") as count:
    runs = as_runs([MODEL, RIVAL], data, progress=count)
built = build(data, runs, name="vovnet-tutorial", rebuild=True)
dataset, (ours, theirs) = built.dataset, built.fields

# %% [markdown]
# ## Which views are there?
#
# Views are saved with the data set and listed in the App's menu. Each answers a question: which objects does only one
# model find, where are small objects lost, and which confident detections have no annotation?

# %%
names = save_views(dataset)
views = {name: dataset.load_saved_view(name) for name in names}
wanted = [name for name in names if any(word in name for word in ("finds", "small misses", "not found"))]
counts = {name: views[name].count("ground_truth.detections") for name in wanted}
figure = go.Figure(go.Bar(x=list(counts.values()), y=list(counts), orientation="h", marker_color="#0072b2"))
figure.update_layout(template="simple_white", height=100 + 26 * len(counts), margin={"l": 330, "t": 10, "b": 50})
figure.update_yaxes(autorange="reversed").update_xaxes(title="objects in the view")

# %% [markdown]
# Start with the objects that one model finds and the other misses, because they can be detected. A run with an autopsy
# (`explorer autopsy`) also has a view for each stage of the detector that lost objects.
#
# ## The App, in the notebook
#
# Click an image, choose a view from the menu at the top left, or open the panel that compares two runs. Behind a
# proxy, as in Colab, the App opens in a separate tab.

# %%
if APP:
    session = show(dataset)

# %% [markdown]
# ## How is a label corrected?
#
# In the App, you can draw, move or rename objects, and tag an object `reject` or a detection `accept`. The cell below
# does the same from Python: it renames the first small object that our model misses (or the first object, if none is
# missed), as if its label had been wrong.

# %%
missed = small_misses(dataset, ours)
with_objects = dataset.match({"ground_truth.detections.0": {"$exists": True}})
sample = (missed if len(missed) else with_objects).first()
label = sample.ground_truth.detections[0]
before, label.label = label.label, "bus" if label.label != "bus" else "truck"
sample.save()
f"{sample.filename}: {before} is now {label.label}"

# %% [markdown]
# ## How are the annotations exported?
#
# The new file differs from the original only in the corrected annotation and can be used for training.

# %%
changes = write_corrected(dataset, data, runs[0].parent / "corrected.json")
original = read_truth(data)
folder = original.file_names[0].rpartition("/")[0]
corrected = read_truth(f"{runs[0].parent / 'corrected.json'}:{folder}")
differ = (original.classes != corrected.classes).sum()
Grid(("what changed", "objects"), (("relabelled", f"{changes.relabelled}"), ("of", f"{len(corrected)}")))

# %% [markdown]
# ## What we have shown
#
# The view of objects that only our model finds contains as many objects as the database reports, and the correction is
# exported as exactly one changed annotation.

# %%
only_ours = views[f"{ours} finds, {theirs} misses"]
print(f"{counts[f'{ours} finds, {theirs} misses']} objects are found by {ours} alone")
assert only_ours.count("ground_truth.detections") == counts[f"{ours} finds, {theirs} misses"]
assert (changes.relabelled, changes.moved, changes.added, changes.removed, differ) == (1, 0, 0, 0, 1)
