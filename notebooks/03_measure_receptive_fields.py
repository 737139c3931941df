# %% [markdown]
# # 3 · Measure receptive fields
#
# **How much of a photo can a unit see, how much does it see, and is that enough for the objects it has to find?** A
# *theoretical* field holds every pixel that can change a unit. The *effective* field is where its gradient is: much
# smaller, and bright in the middle.
#
# Papers: Luo et al., effective receptive fields ([1701.04128](https://arxiv.org/abs/1701.04128));
# [VoVNet](https://arxiv.org/abs/1904.09730), section 1, on diverse receptive fields. All backbones:
# [docs/results/receptive-fields.md](../docs/results/receptive-fields.md).

# %%
import explorer as ex
from explorer.ui.widgets import FieldClicker, counting, silence

silence()  # warnings of libraries, about which a reader can do nothing

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
# It is found by following every operation from the pixels to the unit. The test: replace all pixels *outside* of a
# unit's field by noise; the unit must not change by a single bit. Replace only the outermost pixels of the field, and
# it must. (Squeeze-excitation looks at the whole map and is left out in both.)

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
# Zero means zero: no pixel outside matters. The outermost pixels do, but less and less the deeper the stage, compared
# with the whole field. That is the difference between *can see* and *does see*.
#
# ## How large are the fields of all stages and levels?
#
# Beside them: each level's anchors, and the objects of the data that the box head looks for there.

# %%
with counting("measuring effective fields") as count:
    report = ex.receptive_fields(detector, truth, inputs=INPUTS, progress=count)
report

# %% [markdown]
# Where the violin reaches above the filled square, objects are larger than the effective field: such an object is
# judged from a part of it. Small objects have room to spare, and see their surroundings too. A level without a violin
# gets no object of these data.
#
# ## Where in its field does a unit look?
#
# One unit of stage 4, measured. Each step of colour is a factor: the theoretical field is dashed, the white square is
# as large as the pixels with 95 % of the energy.

# %%
effective = report.fields.effective
layer = "stage4" if "stage4" in effective else list(effective)[2]
ex.effective_heat(effective[layer], report.fields.at_measured_size[layer])

# %% [markdown]
# ## Your turn
#
# Click a point of the photo, or type it. Thin: what a unit there can see. Thick: as much as it does see. Near the
# border fields are cut off.

# %%
FieldClicker(models, [MODEL, RIVAL], photo)

# %% [markdown]
# ## What we have shown
#
# No pixel outside of a theoretical field matters, and each stage sees far less than it could.

# %%
assert noticed or DATA or not MODEL.startswith("demo/V")
assert all(one.outside == 0 for one in noticed)
print({stage.name: f"{stage.effective_px / stage.theoretical_px:.0%} of its side" for stage in report.stages})
assert all(stage.effective_px < stage.theoretical_px for stage in report.stages)
