# %% [markdown]
# # 4 · Train and evaluate
#
# **What can a few minutes of training achieve, and how much depends on the initial weights?** We generate data, train
# a small detector from random weights, kill the run and resume it, train the same detector from existing weights, and
# evaluate both by object size.
#
# Papers: VoVNet's training follows detectron2's; the recipe for a CPU is
# [configs/aerial](../configs/aerial/Base-FasterRCNN.yaml).

# %%
import explorer as ex

ex.silence_warnings()

# %% tags=["parameters"]
DATA = None  # a COCO folder with the splits train and val; None makes aerial scenes on the spot
MODEL = "demo/V-19-slim-dw"  # whose weights the second run starts from
CONFIG = "aerial/faster_rcnn_V_19_slim_dw"  # its recipe
TRAIN_IMAGES, VAL_IMAGES = 80, 16
ITERATIONS, KILL_AT, CHECKPOINT_EVERY = 40, 26, 10
OUT = "output/tutorial"  # where runs go

# %% [markdown]
# ## What do we train on?
#
# A data set is a folder in COCO format: `annotations/instances_train.json` beside the photos. To use your own, set
# `DATA` above; the number of classes is taken from the data. Otherwise, labelled scenes are generated here.

# %%
data = DATA or f"{OUT}/aerial"
if not DATA:
    train_set = ex.make_aerial(data, images=TRAIN_IMAGES, seed=21, split="train", workers=1)
    val_set = ex.make_aerial(data, images=VAL_IMAGES, seed=22, split="val", workers=1)
    print(f"{train_set.images} scenes to train on, {val_set.images} with {val_set.objects} objects to measure on")

# %%
settings = ["SOLVER.MAX_ITER", str(ITERATIONS), "SOLVER.CHECKPOINT_PERIOD", str(CHECKPOINT_EVERY)]
settings += ["TEST.EVAL_PERIOD", "0", "TEST.LOSS_IMAGES", "4", "DATALOADER.NUM_WORKERS", "0"]
recipe = {"data": f"{data}:train", "val": f"{data}:val", "overrides": settings}

# %% [markdown]
# ## Does it learn?
#
# We start from random weights. The run is killed without warning, as in a power failure.

# %%
with ex.TrainingView("from random weights", stop_after=KILL_AT) as killed:
    ex.train(CONFIG, **recipe, out=f"{OUT}/random", on_step=killed.step)

# %% [markdown]
# ## What is lost when a run dies?
#
# Only the iterations after the last checkpoint. `resume=True` continues from there with the optimizer, the schedule
# and the order of the images, so the final weights are bit-identical to those of an uninterrupted run.

# %%
with ex.TrainingView("from random weights, resumed") as resumed:
    ex.train(CONFIG, **recipe, out=f"{OUT}/random", resume=True, on_step=resumed.step)

# %% [markdown]
# ## What if we start from trained weights?
#
# The same training, starting from weights of the zoo. For a backbone, these could be ImageNet weights: `MODEL.WEIGHTS
# timm/ese_vovnet39b.ra_in1k` downloads them and sets the pixel mean that they require. To work without a network, we
# start from the demo detector, which is part of the package.

# %%
with ex.TrainingView("from the zoo's weights") as started:
    ex.train(CONFIG, **recipe, out=f"{OUT}/fine_tuned", weights=MODEL, on_step=started.step)

# %%
runs = {"killed": killed.rows, "resumed": resumed.rows, "from the zoo's weights": started.rows}
ex.training_curves(runs)

# %% [markdown]
# Where the killed and the resumed run overlap, the points coincide: the iterations between the last checkpoint and the
# kill were repeated with the same result. From random weights the loss decreases; the run from trained weights starts
# below the final loss of the first one.
#
# ## How good are they, by object size?
#
# The evaluation after the last iteration saved each run's detections. For comparison, the zoo's weights are also
# evaluated without further training, because they were already trained on such scenes.

# %%
with ex.progress_bar("evaluating the start") as bar:
    ex.evaluate(MODEL, f"{data}:val", out=f"{OUT}/start/inference", progress=bar)

# %%
folders = {"from random weights": "random", "the zoo's weights": "start", "fine-tuned from them": "fine_tuned"}
evaluated = [ex.load_run(f"{OUT}/{folder}/inference", f"{data}:val", name) for name, folder in folders.items()]
ex.compare(*evaluated, resamples=300)

# %% [markdown]
# After forty iterations from random weights, nothing is detected yet;
# [docs/results/small-objects.md](../docs/results/small-objects.md) shows the AP after a thousand. Forty more
# iterations on trained weights change little, within the intervals: the initial weights matter much more than such a
# short training.
#
# ## What we have shown
#
# The resumed run repeats the iterations of the killed one with the same losses, and training from trained weights is
# ahead of training from random weights.

# %%
before = {row["iteration"]: row["total_loss"] for row in killed.rows}
again = {row["iteration"]: row["total_loss"] for row in resumed.rows if row["iteration"] in before}
random, _, tuned = (run.metrics.values["bbox"]["AP50"] for run in evaluated)
print(f"{len(again)} iterations were repeated; AP50 {random:.1f} from random, {tuned:.1f} from the zoo's weights")
assert again
assert all(before[iteration] == loss for iteration, loss in again.items())
assert DATA or tuned > random
