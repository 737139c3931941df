# %% [markdown]
# # 5 · Compare backbones on small objects
#
# **Is one detector better than another on small objects, or is the difference due to chance, and why are objects
# missed?** Both models are evaluated on the same photos. Intervals and p-values come from resampling these photos, and
# each missed object is followed through the detector to the stage that lost it.
#
# Papers: TIDE ([2008.08115](https://arxiv.org/abs/2008.08115)) for the types of error. The five backbones under equal
# training: [docs/results/small-objects.md](../docs/results/small-objects.md).

# %%
import explorer as ex

ex.silence_warnings()

# %% tags=["parameters"]
DATA = None  # a COCO folder, PATH[:SPLIT]; None makes aerial scenes on the spot
MODEL = "demo/V-19-slim-dw"  # a detector of the zoo
RIVAL = "demo/MobileNetV2"  # what it is compared with
IMAGES, PHOTO = 20, 7  # photos to measure on, and the one to show
HELP_IMAGES = 6  # photos on which other ways of using the model are tried

# %%
models = ex.Models(extra=[MODEL, RIVAL])
truth = ex.annotated_images(DATA, IMAGES)
ex.SideBySide(models, [RIVAL, MODEL], truth.file_names[PHOTO])

# %% [markdown]
# A single photo is not enough. Both models run on all photos, and each object is followed through the detector.

# %%
with ex.progress_bar("examining both models") as bar:
    examination = ex.examine(models, [RIVAL, MODEL], truth, bar.steps)
comparison, analyses = examination.comparison, examination.analyses
report = ex.ComparisonReport(comparison, analyses)
report.figure()

# %% [markdown]
# The bars are 95 % intervals. They may overlap even if the difference is significant: photos that are hard for one
# model are usually hard for the other, and this common part cancels out in the difference. We therefore look at the
# difference itself.
#
# ## Is the difference noise?

# %%
figures, differences, finders = report.tables()
differences

# %% [markdown]
# **How to read p.** If the two models were equally good, p is the probability that a random sample of photos shows a
# difference at least this large. It is not the probability that the models are equal, and it does not cover the
# variance between training runs. If the interval contains 0, the last column estimates how many more photos would
# settle the question, assuming the measured difference. Note that of twenty comparisons (sizes and classes), one is
# expected to have a p below 0.05 by chance. (With 500 resamples, the smallest possible p is 0.004.)
#
# ## Who finds which objects?

# %%
finders

# %%
ex.objects_scatter(comparison)

# %% [markdown]
# A is the other model, B is ours. An object is found if a detection of its class has an IoU of at least 0.5 and at
# least the score at which the model's precision is one half; both numbers are printed above the table. McNemar's test
# assumes independent objects, which is not true for objects in the same photo, so the column before it is more
# reliable.
#
# ## Which types of errors are there?
#
# What each model would gain in AP50 if one type of error were fixed, by object size.

# %%
ex.error_types({analysis.run.name: analysis.gains for analysis in analyses})

# %% [markdown]
# ## Where are small objects lost?
#
# The autopsy follows every object through matching anchors, the RPN's ranking, its NMS, the box head and the final
# selection, and reports the first stage that lost it. Detected objects are counted as found or, if their score is too
# low, as below the threshold.

# %%
ours = analyses[1]
ex.AutopsyReport(ours, ours.autopsy)

# %% [markdown]
# ## The misses themselves
#
# Browse them with the arrow keys to see the nearest boxes and the one that decided the outcome. Objects that the other
# model finds come first.

# %%
ex.ErrorBrowser(models, examination)

# %% [markdown]
# ## What helps without training?
#
# A larger input, more proposals, image slices and flips: the gain of each on these photos, and the factor in time.

# %%
few = truth.of_images(truth.image_ids[:HELP_IMAGES].tolist())
with ex.progress_bar("trying other ways of using it") as bar:
    ways = ex.improve(models.get(MODEL), few, resamples=200, progress=bar)
ways

# %% [markdown]
# Six photos are too few for an interval: their resamples are so similar that the interval would be misleadingly
# narrow. Set `HELP_IMAGES` to some hundred and allow an hour; differences whose interval excludes 0 are then shown in
# bold.
#
# ## What we have shown
#
# A difference is called settled if and only if its interval excludes 0. With the demo models, VoVNet finds more
# objects that MobileNetV2 misses than the reverse, and at least as many small ones.

# %%
(pair,) = comparison.pairs
everything, small = (pair.tallies[size, None] for size in ("all", "small"))
print(f"found: {comparison.points[1].words} ({MODEL}), {comparison.points[0].words} ({RIVAL})")
print(f"small objects: {small.only_b} found by {MODEL} alone, {small.only_a} by {RIVAL} alone, {small.both} by both")
points = pair.differences.points
assert (pair.differences.settled == ((points.low > 0) | (points.high < 0))).all()
assert DATA or (everything.only_b > everything.only_a and small.only_b >= small.only_a)
