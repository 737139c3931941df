# %% [markdown]
# # 2 · Look at features
#
# **How do the layers of a detector respond to a photo, and are all of them used?** We record feature maps while the
# model runs and look at single channels, at all channels together, at how much the aggregation of each OSA block uses
# each layer, and at the regions that contribute to a detection.
#
# Papers: [VoVNet](https://arxiv.org/abs/1904.09730), section 3.1 and figure 2; Grad-CAM
# ([1610.02391](https://arxiv.org/abs/1610.02391)); Eigen-CAM ([2008.00299](https://arxiv.org/abs/2008.00299)).

# %%
import explorer as ex

ex.silence_warnings()

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
# ## What shapes do the feature maps have?
#
# A recorder stores the outputs of layers, selected by short names, dotted names or globs. The model is left unchanged.

# %%
with ex.FeatureRecorder(ours.model, ["stage*", "p*"]) as recorder:
    ours.detect(photo)
shapes = [(record.name, " × ".join(map(str, record.tensor.shape[1:]))) for record in recorder.records]
ex.Grid(("layer", "channels × rows × columns"), tuple(shapes))

# %% [markdown]
# ## What do single channels respond to?
#
# The eight strongest channels of stage 3. Channels have no predefined meaning, but responses to roofs, edges and
# bright objects can be recognised.

# %%
maps = ex.feature_maps(ours.model, ours.model_input(photo), ["stage2", "stage3", "p2", "p4"])
ex.feature_grid(maps["stage3"], ex.top_channels(maps["stage3"], 8), by="energy")

# %% [markdown]
# ## And all channels at once?
#
# *Energy* is the strength of the response at each position. *Principal components* map the three strongest directions
# of all channels to colours, so equal colours mean similar features. *EigenCAM* shows the strongest component only.

# %%
views = {"energy of p2": ex.energy(maps["p2"]), "EigenCAM of p2": ex.eigen_cam(maps["p2"])}
ex.linked_maps(views, photo)

# %% [markdown]
# ## Do two backbones group positions in the same way?
#
# The same photo through both models, level `p2`. The components of the second model are rotated so that similar
# features have similar colours; remaining differences in colour show where the two networks differ.

# %%
other = ex.feature_maps(theirs.model, theirs.model_input(photo), ["p2"])
colors = ex.pca_rgb([maps["p2"], other["p2"]], share="places")
ex.linked_maps(dict(zip([MODEL, RIVAL], colors, strict=True)), photo)

# %% [markdown]
# ## Does the aggregation use all of an OSA block's layers?
#
# The VoVNet paper argues that many of DenseNet's connections are hardly used. In the figure below, an unused input
# would have a dark column: the colour is the share of squared weights per channel, where 1 is the average.

# %%
usages = {MODEL: ex.layer_usage(ours.model)}
ex.usage_matrix(usages)

# %% [markdown]
# No column is dark: the aggregation uses every layer of every block and the block's input. This confirms the premise
# of one-shot aggregation on trained weights.
#
# ## Which regions contribute to a detection?
#
# The gradient of a box's score shows which positions contribute to it. HiResCAM weights each position by its own
# gradient, so positions that the score does not depend on remain dark.

# %%
found = ours.detect(photo).detections
box, index = found.boxes_xyxy[0].tolist(), int(found.classes[0])
cam = ex.detection_cam(ours.model, ours.model_input(photo), box, index, at_place=True)
title = f"{found.class_names[index]} {cam.probability:.2f}, classified from {cam.level}"
ex.linked_maps({title: cam.view}, photo, boxes_xyxy=[box])

# %% [markdown]
# ## Your turn
#
# Choose a model, a layer, a channel and a photo. Use the arrow keys to move the slider; further channels of a recorded
# map are shown immediately.

# %%
ex.FeatureExplorer(models, [MODEL, RIVAL], photos)

# %% [markdown]
# ## What we have shown
#
# Every input of every OSA block is used: none has less than half of the average weight per channel.

# %%
least = min(min(block.per_channel) for block in usages[MODEL])
print(f"the least used input has {least:.2f} of an average channel's weight")
assert least > 0.5
assert shapes
