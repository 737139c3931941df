# %% [markdown]
# # 6 · Browse in FiftyOne
#
# **Which photos are behind a figure, and are the labels correct?** A table shows how many small objects are missed;
# here you look at each of them. We import a data set and two runs into FiftyOne, open the App in the notebook, correct
# a label, and export the annotations in COCO format for training.
#
# `explorer browse` does the same from the command line.

# %%
import explorer as ex

ex.silence_warnings()

# %% tags=["parameters"]
DATA = None  # a COCO folder, PATH[:SPLIT]; None makes aerial scenes on the spot
MODEL = "demo/V-19-slim-dw"  # a detector of the zoo, or the folder of a run
RIVAL = "demo/MobileNetV2"  # what it is compared with
IMAGES = 16  # scenes to make, where DATA is None
APP = True  # whether to open the App
OUT = "output/tutorial"

# %% [markdown]
# ## How is a data set imported?
#
# FiftyOne stores samples in its own MongoDB, which it starts automatically. Models are evaluated first, as by
# `explorer evaluate`, and their detections are cached; data that is already in the database is not imported again.

# %%
if not DATA:
    ex.make_aerial(f"{OUT}/browse-{IMAGES}", images=IMAGES, seed=31, workers=1)
data = DATA or f"{OUT}/browse-{IMAGES}:val"
with ex.progress_bar("evaluating both models") as bar:
    browsed = ex.browse(data, [MODEL, RIVAL], name="vovnet-tutorial", rebuild=True, progress=bar)
ours, theirs = browsed.fields
browsed.tables()[0]

# %% [markdown]
# ## Which views are there?
#
# Views are saved with the data set and listed in the App's menu. Each answers a question: which objects does only one
# model find, where are small objects lost, and which confident detections have no annotation?

# %%
browsed.figure()

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
    session = browsed.show()

# %% [markdown]
# ## How is a label corrected?
#
# In the App, you can draw, move or rename objects, and tag an object `reject` or a detection `accept`. The cell below
# does the same from Python: it renames the first small object that our model misses (or the first object, if none is
# missed), as if its label had been wrong.

# %%
missed = browsed.views[f"{ours}: small misses"]
with_objects = browsed.dataset.match({"ground_truth.detections.0": {"$exists": True}})
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
changes = browsed.export(f"{OUT}/corrected.json")
original = ex.read_truth(data)
images = original.file_names[0].rpartition("/")[0]
corrected = ex.read_truth(f"{OUT}/corrected.json:{images}")
differ = (original.classes != corrected.classes).sum()
ex.Grid(("change", "objects"), (("relabelled", f"{changes.relabelled}"), ("of", f"{len(corrected)}")))

# %% [markdown]
# ## What we have shown
#
# The view of objects that only our model finds contains as many objects as the field `found_by` says, and the
# correction is exported as exactly one changed annotation.

# %%
found_by = browsed.dataset.values("ground_truth.detections.found_by")  # by image and object
alone = sum(runs == [ours] for image in found_by for runs in image or ())
print(f"{alone} objects are found by {ours} alone")
assert browsed.views[f"{ours} finds, {theirs} misses"].count("ground_truth.detections") == alone
assert (changes.relabelled, changes.moved, changes.added, changes.removed, differ) == (1, 0, 0, 0, 1)
