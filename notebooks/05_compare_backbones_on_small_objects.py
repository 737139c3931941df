# %% [markdown]
# # 5 · Compare backbones on small objects
#
# **Is one detector better on small objects than another, or were the photos kind to it; and why does it miss what it
# misses?** Both models see the same photos. Intervals and p-values come from resampling the photos, the same for both,
# and each missed object is followed through the detector to the stage that lost it.
#
# Papers: TIDE ([2008.08115](https://arxiv.org/abs/2008.08115)) for the types of error. The five backbones under equal
# training: [docs/results/small-objects.md](../docs/results/small-objects.md).

# %%
import explorer as ex
from explorer.ui.widgets import ErrorBrowser, SideBySide, counting, progress, silence

silence()  # warnings of libraries, about which a reader can do nothing

# %% tags=["parameters"]
DATA = None  # a COCO folder, PATH[:SPLIT]; None makes aerial scenes on the spot
MODEL = "demo/V-19-slim-dw"  # a detector of the zoo
RIVAL = "demo/MobileNetV2"  # what it is compared with
IMAGES, PHOTO = 20, 7  # photos to measure on, and the one to show
HELP_IMAGES = 6  # photos on which other ways of using the model are tried

# %%
models = ex.Models(extra=[MODEL, RIVAL])
truth = ex.annotated_images(DATA, IMAGES)
SideBySide(models, [RIVAL, MODEL], truth.file_names[PHOTO])

# %% [markdown]
# One photo says little. Let both run on all photos; each object is followed on its way.

# %%
with progress("examining both models") as tell:
    examination = ex.examine(models, [RIVAL, MODEL], truth, tell)
comparison, analyses = examination.comparison, examination.analyses
report = ex.ComparisonReport(comparison, analyses)
report.figure()

# %% [markdown]
# The bars are 95 % intervals. Those of two models may overlap although the difference is sure: photos that are hard
# for one are hard for the other, and that part of the luck cancels in the difference. So look at the difference
# itself.
#
# ## Is the difference noise?

# %%
figures, differences, finders = report.tables()
differences

# %% [markdown]
# **How to read p here.** Suppose that the two models were equally good. Then p is how often photos drawn by chance
# would show a difference at least this large. It is no probability that the models are equal, and it says nothing of a
# second training run: the weights are these weights. Where the interval holds 0, the last column says how many more
# photos would settle it, if the difference is what was measured. And whoever tries twenty sizes and classes will find
# one with p below 0.05. (500 resamples can show no p below 0.004.)
#
# ## Who finds which objects?

# %%
finders

# %%
ex.objects_scatter(comparison)

# %% [markdown]
# A is the rival, B is our model. An object is found by a detection of its class with an IoU of at least 0.5 and at
# least the score at which half of what the model shows is right: both numbers stand above the table. McNemar's test
# takes each object for a coin of its own; objects of one photo are not, so trust the column before it.
#
# ## What kind of errors are they?
#
# What each model would gain in AP50 if one type of error were fixed, by object size.

# %%
ex.error_types({analysis.run.name: analysis.gains for analysis in analyses})

# %% [markdown]
# ## Where do small objects die?
#
# The autopsy follows every object: an anchor that fits, the RPN's ranking, its NMS, the box head, the final selection.
# The first stage that lost it gets the blame. What is detected ends as found or, where its score is too low, below the
# threshold.

# %%
ours = analyses[1]
ex.AutopsyReport(ours, ours.autopsy)

# %% [markdown]
# ## The misses themselves
#
# Go through them with the arrow keys: what was nearest, and which box decided. Those that the other model finds come
# first.

# %%
ErrorBrowser(models, examination)

# %% [markdown]
# ## What helps without training?
#
# A larger input, more proposals, slices, flips: what each adds on these photos, and how many times as long it takes.

# %%
few = truth.of_images(truth.image_ids[:HELP_IMAGES].tolist())
with counting("trying other ways of using it") as count:
    ways = ex.improve(models.get(MODEL), few, resamples=200, progress=count)
ways

# %% [markdown]
# Six photos are too few for an interval: resamples of them are all much alike, and a narrow interval would say that we
# know what we do not. Give `HELP_IMAGES` some hundred, and an hour; what an interval sets apart from 0 is bold then.
#
# ## What we have shown
#
# A difference is called settled exactly where its interval excludes 0; and with the demo models, more objects are
# found by VoVNet alone than by MobileNetV2 alone, and no fewer small ones.

# %%
(pair,) = comparison.pairs
everything, small = (pair.tallies[size, None] for size in ("all", "small"))
print(f"found: {comparison.points[1].words} ({MODEL}), {comparison.points[0].words} ({RIVAL})")
print(f"small objects: {small.only_b} found by {MODEL} alone, {small.only_a} by {RIVAL} alone, {small.both} by both")
points = pair.differences.points
assert (pair.differences.settled == ((points.low > 0) | (points.high < 0))).all()
assert DATA or (everything.only_b > everything.only_a and small.only_b >= small.only_a)
