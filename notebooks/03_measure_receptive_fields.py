# %% [markdown]
# # 3 · Measure receptive fields
#
# **How much of a photo can a unit see, how much does it use in practice, and is that enough for the objects it has to
# find?** The *theoretical* receptive field contains every pixel that can change a unit. The *effective* receptive
# field, measured by gradients, is much smaller and concentrated in the middle.
#
# Papers: Luo et al., effective receptive fields ([1701.04128](https://arxiv.org/abs/1701.04128));
# [VoVNet](https://arxiv.org/abs/1904.09730), section 1, on diverse receptive fields. All backbones:
# [docs/results/receptive-fields.md](../docs/results/receptive-fields.md).

# %%
import explorer as ex

ex.silence_warnings()

# %% tags=["parameters"]
DATA = None  # a COCO folder, PATH[:SPLIT]; None makes aerial scenes on the spot
MODEL = "demo/V-19-slim-dw"  # a detector of the zoo
RIVAL = "demo/MobileNetV2"  # another one
IMAGES, PHOTO = 20, 7  # whose objects are held against the fields, and the one to click in
INPUTS = 2  # noise images on which effective fields are measured

# %%
models = ex.Models(extra=[MODEL, RIVAL])
detector = models.get(MODEL)
backbone = detector.model.backbone.bottom_up
truth = ex.annotated_images(DATA, IMAGES)
photo = ex.read_image(truth.file_names[PHOTO])

# %% [markdown]
# ## Is the theoretical field right?
#
# It is computed by following every operation from the pixels to the unit. To test it, we replace all pixels *outside*
# a unit's field by noise: the unit must not change at all. If we replace only the outermost pixels of the field, it
# must change. (Squeeze-excitation is global and is left out in both cases.)

# %%
size, layers = (512, 512), list(backbone.output_shape())[:3]
image = ex.random_inputs(1, size, batch=1)[0]
fields = ex.theoretical_fields(backbone, size, ignore_global=True)
noticed = [ex.perturb(backbone, fields[layer], image) for layer in layers if layer in fields]
rows = [
    (f"{n.layer}", f"{fields[n.layer].size_px[0]} px", f"{n.outside}", f"{n.edge:.2g}", f"{n.inside:.2g}")
    for n in noticed
]
head = ("layer", "theoretical field", "change: pixels outside", "outermost pixels", "all pixels of it")
ex.Grid(head, tuple(rows))

# %% [markdown]
# The difference outside the field is exactly zero. The outermost pixels do have an influence, but compared with the
# whole field it decreases with depth. This is the difference between the theoretical and the effective field.
#
# ## How large are the fields of all stages and levels?
#
# The figure also shows each level's anchors and the objects that the box head pools from it.

# %%
with ex.progress_bar("measuring effective fields") as bar:
    report = ex.receptive_fields(detector, truth, inputs=INPUTS, progress=bar)
report

# %% [markdown]
# Where the violin reaches above the filled square, objects are larger than the effective field, so they are classified
# from a part of the object. For small objects, the field also covers their surroundings. A level without a violin has
# no objects in this data set.
#
# ## Which part of its field does a unit use?
#
# The measured energy of one unit of stage 4, on a logarithmic colour scale. The theoretical field is dashed; the white
# square has the area of the pixels with 95 % of the energy.

# %%
effective = report.fields.effective
layer = "stage4" if "stage4" in effective else list(effective)[2]
ex.effective_heat(effective[layer], report.fields.at_measured_size[layer])

# %% [markdown]
# ## Your turn
#
# Click a point in the photo or type its coordinates. Thin lines are theoretical fields, thick lines effective ones.
# Fields are cut off at the border of the photo.

# %%
ex.FieldClicker(models, [MODEL, RIVAL], photo)

# %% [markdown]
# ## What we have shown
#
# No pixel outside the theoretical field has any influence, and the effective field of each stage is much smaller than
# the theoretical one.

# %%
assert noticed or DATA or not MODEL.startswith("demo/V")
assert all(one.outside == 0 for one in noticed)
print({stage.name: f"{stage.effective_px / stage.theoretical_px:.0%} of its side" for stage in report.stages})
assert all(stage.effective_px < stage.theoretical_px for stage in report.stages)
