# %% [markdown]
# # 1 · Meet the backbones
#
# **What is VoVNet made of, and what does each part cost?** All numbers below are read from the modules or measured in
# this notebook. The VoVNet paper argues that the number of multiplications is a poor estimate of time, because memory
# traffic matters too. Let us check this on your machine.
#
# Papers: [VoVNet](https://arxiv.org/abs/1904.09730), sections 2 and 3; [CenterMask](https://arxiv.org/abs/1911.06667),
# section 3.3 (VoVNet-V2).

# %%
import explorer as ex

ex.silence_warnings()

# %% tags=["parameters"]
DATA = None  # a COCO folder, PATH[:SPLIT]; None makes aerial scenes on the spot
MODEL = "demo/V-19-slim-dw"  # a detector of the zoo
SIZE = (480, 640)  # height and width that backbones are measured at
ROUNDS = 7  # how often each is timed

# %% [markdown]
# ## What is available here?
#
# The models of the zoo. The two demos come with the package; the others download their weights when they are first
# used.

# %%
ex.ModelPicker([MODEL])

# %% [markdown]
# ## What is one-shot aggregation?
#
# DenseNet passes every layer's output to all later layers, so inputs grow and memory is read repeatedly. An OSA block
# concatenates all outputs **once**, at its end. Here is the first block of stage 4 of VoVNet-V1-39.

# %%
first = ex.VoVNet("V-39-eSE", ese="none", identity=False)
ex.osa_block(first.stage4.OSA4_1, "VoVNet-V1-39, the first block of stage 4")

# %% [markdown]
# Five 3×3 convolutions in a chain, all of the same width: equal numbers of input and output channels need the least
# memory traffic for a given number of multiplications (VoVNet, section 2.1). The concatenation also includes the
# block's input, and one 1×1 convolution reduces it to the block's width.
#
# ## What did V2 add?
#
# The second block of the same stage in V2: its input is added to its output (identity mapping), and effective
# squeeze-excitation gates its channels by one fully connected layer over the pooled map.

# %%
second = ex.VoVNet("V-39-eSE")
ex.osa_block(second.stage4.OSA4_2, "VoVNet-V2-39, the second block of stage 4")

# %% [markdown]
# ## What do identity mapping and eSE cost?
#
# The same network, with one more of them switched on in each row.

# %%
steps = {
    "V-39, neither (V1)": first,
    "V-39, identity": ex.VoVNet("V-39-eSE", ese="none"),
    "V-39, identity and eSE (V2)": second,
}
switched = {name: [ex.total_cost(ex.stage_costs(network, SIZE))] for name, network in steps.items()}
ex.cost_grid(switched)

# %% [markdown]
# eSE adds millions of parameters but almost no multiplications, because it works on one vector per map. It does add
# memory traffic: the map is read once for pooling and once more for gating. Identity mapping adds neither parameters
# nor multiplications, only traffic. By multiplications alone, both would appear to be free.
#
# ## Where in the network are parameters, multiplications, traffic and time?
#
# *Memory traffic* counts what every operation reads and writes, its weights included, as eager execution does it.

# %%
variants = {name: ex.VoVNet(f"{name}-eSE") for name in ("V-19", "V-19-slim", "V-19-slim-dw")}
networks = {**variants, "MobileNetV2": ex.MobileNetV2()}
image = ex.random_inputs(1, SIZE, batch=1)[0]
with ex.progress_bar("timing the backbones in interleaved rounds") as bar:
    seconds = ex.stage_seconds(networks, image, rounds=ROUNDS, progress=bar)
costs = {name: ex.stage_costs(network, SIZE) for name, network in networks.items()}
ex.cost_shares(costs, seconds)

# %% [markdown]
# Deep stages hold the parameters; the early ones, whose maps are large, move the memory. In V-19, which has no
# depthwise convolutions, time is distributed like the multiplications. In MobileNetV2 and V-19-slim-dw, which use
# depthwise convolutions, it is not: their first stage has a quarter of the multiplications and takes about half of the
# time or more. (Stages of equal stride have one colour; MobileNetV2's first one includes what others call the stem.)
#
# ## Why does GMAC not predict time?
#
# Left: the complete networks. Right: each of their stages, by multiplications per byte of memory traffic and by
# multiplications per second.

# %%
ex.rates(costs, seconds)

# %%
ex.cost_grid({name: [ex.total_cost(own)] for name, own in costs.items()})

# %% [markdown]
# On the left, V-19-slim has four times the multiplications of V-19-slim-dw but takes far less than four times as long.
# The right side explains this: multiplications are more expensive where there are few of them per byte, because the
# processor then waits for memory. Neither count alone predicts time: MobileNetV2 has nearly as much memory traffic as
# V-19 and is still faster. Halving the multiplications of a depthwise stage therefore saves little, while halving
# those of a stage with full convolutions saves about half of its time. VoVNet is designed for the right edge of the
# figure.
#
# How much of a detector is its backbone? One photo through the whole model of the zoo:

# %%
detector = ex.load_detector(MODEL)
photo = ex.annotated_images(DATA, 4).file_names[0]
detector.detect(photo)  # the first call is slower
timing = detector.detect(photo).timing
{stage: f"{1000 * taken:.0f} ms" for stage, taken in timing.stages_s.items()}

# %% [markdown]
# ## What we have shown
#
# Depthwise convolutions save three quarters of the multiplications but none of the memory traffic.

# %%
light, full = ex.total_cost(costs["V-19-slim-dw"]), ex.total_cost(costs["V-19-slim"])
assert light.macs < 0.25 * full.macs
assert light.traffic_mb > full.traffic_mb
