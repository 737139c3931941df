# %% [markdown]
# # 6 · Browse in FiftyOne
#
# **Which photos stand behind a figure, and what is wrong with the labels?** A table says that small objects are
# missed; here you look at each of them. We put a data set and two runs into FiftyOne's database, open its App in the
# notebook, correct a label, and write the annotations back in COCO's format, to train on.
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
# ## How does a data set get in?
#
# FiftyOne keeps samples in a MongoDB of its own, which starts with it. Models are run first, as by `explorer
# evaluate`, and their runs kept; what is in the database already is not written again.

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
# ## What is there to see?
#
# Views are saved with the data set, and wait in the App's menu. Each is a question: what does one find and the other
# miss, where are small objects lost, what is a model sure of that the annotations do not have?

# %%
names = save_views(dataset)
views = {name: dataset.load_saved_view(name) for name in names}
wanted = [name for name in names if any(word in name for word in ("finds", "small misses", "not found"))]
counts = {name: views[name].count("ground_truth.detections") for name in wanted}
figure = go.Figure(go.Bar(x=list(counts.values()), y=list(counts), orientation="h", marker_color="#0072b2"))
figure.update_layout(template="simple_white", height=100 + 26 * len(counts), margin={"l": 330, "t": 10, "b": 50})
figure.update_yaxes(autorange="reversed").update_xaxes(title="objects in the view")

# %% [markdown]
# What one finds and the other misses is where to look first: it can be found. A run that `explorer autopsy` has
# followed brings a view for each stage of the detector that lost objects, besides.
#
# ## The App, in the notebook
#
# Click an image, choose a view in the menu at the top left, open the panel with two runs. Behind a proxy, as in Colab,
# the App opens in a tab of its own.

# %%
if APP:
    session = show(dataset)

# %% [markdown]
# ## How is a label corrected?
#
# In the App: draw, move, rename, or tag an object `reject` and a detection `accept`. The same from a cell: the first
# small object that our model misses, or the first of all where it misses none, is renamed here, as if its label had
# been wrong.

# %%
missed = small_misses(dataset, ours)
with_objects = dataset.match({"ground_truth.detections.0": {"$exists": True}})
sample = (missed if len(missed) else with_objects).first()
label = sample.ground_truth.detections[0]
before, label.label = label.label, "bus" if label.label != "bus" else "truck"
sample.save()
f"{sample.filename}: {before} is now {label.label}"

# %% [markdown]
# ## And back to COCO?
#
# Only what was changed differs from the original file; the new one can be trained on.

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
# The view of what only our model finds holds as many objects as the database says, and a correction comes back as one
# changed annotation, and no other.

# %%
only_ours = views[f"{ours} finds, {theirs} misses"]
print(f"{counts[f'{ours} finds, {theirs} misses']} objects are found by {ours} alone")
assert only_ours.count("ground_truth.detections") == counts[f"{ours} finds, {theirs} misses"]
assert (changes.relabelled, changes.moved, changes.added, changes.removed, differ) == (1, 0, 0, 0, 1)
