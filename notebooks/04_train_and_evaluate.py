# %% [markdown]
# # 4 · Train and evaluate
#
# **What do a few minutes of training give, and how much of it is where you start?** We make data, train a small
# detector from nothing, kill the run and resume it, then train the same from weights that exist, and evaluate both by
# object size.
#
# Papers: VoVNet's training follows detectron2's; the recipe for a CPU is
# [configs/aerial](../configs/aerial/Base-FasterRCNN.yaml).

# %%
import explorer as ex
from explorer.ui.widgets import TrainingView, counting, silence

silence()  # warnings of libraries, about which a reader can do nothing

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
# A data set is a folder in COCO format: `annotations/instances_train.json` beside the photos. Bring your own by
# setting `DATA` above; the number of classes follows it. Without, scenes with labels are drawn here.

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
# From random weights. The run is killed on the way, as a machine that goes down would: nothing is prepared for that.

# %%
with TrainingView("from nothing", stop_after=KILL_AT) as killed:
    ex.train(CONFIG, **recipe, out=f"{OUT}/from_nothing", on_step=killed.step)

# %% [markdown]
# ## What is lost when a run dies?
#
# What came after its last checkpoint. `resume=True` goes on from there, with the optimizer, the schedule and the order
# of the images: a run that was killed ends with the same bits as one that was not.

# %%
with TrainingView("from nothing, resumed") as resumed:
    ex.train(CONFIG, **recipe, out=f"{OUT}/from_nothing", resume=True, on_step=resumed.step)

# %% [markdown]
# ## And if we do not start from nothing?
#
# The same recipe from weights of the zoo. For a backbone alone these are ImageNet's: `MODEL.WEIGHTS
# timm/ese_vovnet39b.ra_in1k` downloads them and sets the pixel mean that they want. That needs the network, so here we
# start from the demo detector, which comes with the package.

# %%
with TrainingView("from the zoo's weights") as started:
    ex.train(CONFIG, **recipe, out=f"{OUT}/from_weights", weights=MODEL, on_step=started.step)

# %%
runs = {"killed": killed.rows, "resumed": resumed.rows, "from the zoo's weights": started.rows}
ex.training_curves(runs)

# %% [markdown]
# Where the killed and the resumed run overlap, the points lie on each other: the iterations between the last
# checkpoint and the kill were done twice, with the same result. From nothing, the loss falls; the other run starts
# below where that one ends.
#
# ## How good are they, by object size?
#
# Evaluation after the last iteration wrote each run's detections. To be fair to the iterations, the zoo's weights are
# evaluated as they were before, too: they have seen such scenes in a training of their own.

# %%
with counting("evaluating the start") as count:
    ex.evaluate(MODEL, f"{data}:val", out=f"{OUT}/start/inference", progress=count)

# %%
folders = {"from nothing": "from_nothing", "the zoo's weights": "start", "trained on from them": "from_weights"}
evaluated = [ex.load_run(f"{OUT}/{folder}/inference", f"{data}:val", name) for name, folder in folders.items()]
ex.compare(*evaluated, resamples=300)

# %% [markdown]
# Forty iterations from nothing find nothing yet; a thousand give the AP of
# [docs/results/small-objects.md](../docs/results/small-objects.md). And forty more on good weights change little,
# within the intervals: what a start is worth, and what so short a training adds to it, are different questions.
#
# ## What we have shown
#
# The run that was resumed repeats the killed one's iterations with the same losses, and a start from trained weights
# is ahead of one from nothing.

# %%
before = {row["iteration"]: row["total_loss"] for row in killed.rows}
again = {row["iteration"]: row["total_loss"] for row in resumed.rows if row["iteration"] in before}
nothing, _, trained = (run.metrics.values["bbox"]["AP50"] for run in evaluated)
print(f"{len(again)} iterations were done twice; AP50 {nothing:.1f} from nothing, {trained:.1f} from the zoo's weights")
assert again
assert all(before[iteration] == loss for iteration, loss in again.items())
assert DATA or trained > nothing
