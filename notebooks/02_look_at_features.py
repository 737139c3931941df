# %% [markdown]
# # 2 · Look at features
#
# **What do the layers of a detector say about a photo, and what do they leave unused?** We record maps while the model
# runs, look at single channels, at all channels at once, at what the aggregation of each OSA block takes from its
# layers, and at what speaks for one detection.
#
# Papers: [VoVNet](https://arxiv.org/abs/1904.09730), section 3.1 and figure 2; Grad-CAM
# ([1610.02391](https://arxiv.org/abs/1610.02391)); Eigen-CAM ([2008.00299](https://arxiv.org/abs/2008.00299)).

# %%
import explorer as ex
from explorer.ui.widgets import FeatureExplorer, silence

silence()  # warnings of libraries, about which a reader can do nothing

# %% tags=["parameters"]
DATA = None  # a COCO folder, PATH[:SPLIT]; None makes aerial scenes on the spot
MODEL = "demo/V-19-slim-dw"  # a detector of the zoo
RIVAL = "demo/MobileNetV2"  # another one
IMAGES, PHOTO = 8, 2  # photos to choose from, and the one to start with

# %%
models = ex.Models(extra=[MODEL, RIVAL])
ours, theirs = models.get(MODEL), models.get(RIVAL)
files = ex.annotated_images(DATA, IMAGES).file_names
files = files[PHOTO:] + files[:PHOTO]
photos = {f"photo {place}": ex.read_image(file) for place, file in enumerate(files)}
photo = photos["photo 0"]

# %% [markdown]
# ## What shapes do maps have on their way through the pyramid?
#
# A recorder takes what layers give, by short names, dotted names or globs, and leaves the model as it was.

# %%
with ex.FeatureRecorder(ours.model, ["stage*", "p*"]) as recorder:
    ours.detect(photo)
shapes = [(record.name, " × ".join(map(str, record.tensor.shape[1:]))) for record in recorder.records]
ex.Grid(("layer", "channels × rows × columns"), tuple(shapes))

# %% [markdown]
# ## What do single channels look for?
#
# The eight strongest channels of stage 3. Each was learnt and has no name; but roofs, edges and bright objects can be
# told.

# %%
maps = ex.feature_maps(ours.model, ours.model_input(photo), ["stage2", "stage3", "p2", "p4"])
ex.feature_grid(maps["stage3"], ex.top_channels(maps["stage3"], 8), by="energy")

# %% [markdown]
# ## And all channels at once?
#
# *Energy* is how strongly a place answers, *principal components* turn the three strongest directions of all channels
# into colours: equal colours are places that the layer takes for alike. *EigenCAM* is the one strongest pattern.

# %%
views = {"energy of p2": ex.energy(maps["p2"]), "EigenCAM of p2": ex.eigen_cam(maps["p2"])}
ex.linked_maps(views, photo)

# %% [markdown]
# ## Do two backbones sort the same places alike?
#
# The same photo through both models, level `p2`. The axes of the second are turned so that like places have like
# colours; what still differs in colour, the two networks tell apart differently.

# %%
other = ex.feature_maps(theirs.model, theirs.model_input(photo), ["p2"])
colors = ex.pca_rgb([maps["p2"], other["p2"]], share="places")
ex.linked_maps(dict(zip([MODEL, RIVAL], colors, strict=True)), photo)

# %% [markdown]
# ## Does the aggregation use all of an OSA block's layers?
#
# VoVNet's case against DenseNet is that dense connections go unused. If an input were ignored, its column would be
# dark: the colour is the share of squared weights per channel, 1 is the average.

# %%
usages = {MODEL: ex.layer_usage(ours.model)}
ex.usage_matrix(usages)

# %% [markdown]
# No input is dark: every layer of every block is read, the block's own input too. That is the premise of one-shot
# aggregation, here on trained weights.
#
# ## What speaks for one detection?
#
# The gradient of one box's score says which places count. HiResCAM weighs each place by its own gradient, so nothing
# outside of what the box's score depends on can be bright.

# %%
found = ours.detect(photo).detections
box, index = found.boxes_xyxy[0].tolist(), int(found.classes[0])
cam = ex.detection_cam(ours.model, ours.model_input(photo), box, index, at_place=True)
title = f"{found.class_names[index]} {cam.probability:.2f}, classified from {cam.level}"
ex.linked_maps({title: cam.view}, photo, boxes_xyxy=[box])

# %% [markdown]
# ## Your turn
#
# Choose a model, a layer, a channel and a photo. The slider takes the arrow keys; another channel of a map that is
# already there shows at once.

# %%
FeatureExplorer(models, [MODEL, RIVAL], photos)

# %% [markdown]
# ## What we have shown
#
# Every input of every OSA block is used: none gets less than half of what an average one gets, channel for channel.

# %%
least = min(min(block.per_channel) for block in usages[MODEL])
print(f"the least used input has {least:.2f} of an average channel's weight")
assert least > 0.5
