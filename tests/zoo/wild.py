"""Checkpoints as they circulate, made here: the tensors of small VoVNets under the names that their makers use.

The networks of vision-toolbox and 1e100 are computed here from tensors by those names, as their makers describe them.
"""

from __future__ import annotations

import pickle
import re

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from explorer.backbones import VoVNet
from explorer.backbones.deformable import Deformation
from explorer.zoo.vovnet_names import in_timms_names

SMALL = "V-19-slim-dw-eSE"
SLIM_128 = {"stage_out_channels": (128, 256, 384, 512)}
PAPER = {"stem_strides": (2, 1, 1), "stage2_pool": True, "pool_padding": 1}


def network(variant=SMALL, **options):
    """A VoVNet whose every tensor matters: norms far from the identity, biases far from zero."""
    torch.manual_seed(0)
    net = VoVNet(variant, norm="BN", **options).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.6, 1.0)
            module.running_var.uniform_(0.8, 1.2)
            for values in (module.bias.data, module.running_mean):
                values.uniform_(-0.1, 0.1)
        elif isinstance(module, torch.nn.Conv2d) and module.bias is not None:
            module.bias.data.uniform_(-0.1, 0.1)
    return net


def in_toolbox_names(name):
    name = re.sub(r"stem\.stem_(\d)/", lambda m: f"stem.{int(m[1]) - 1}.", name)
    name = re.sub(r"stage(\d)\.OSA\d_(\d+)\.", lambda m: f"stages.{int(m[1]) - 2}.module_{int(m[2]) - 1}.", name)
    name = re.sub(r"layers\.(\d)\.\w+/", r"convs.\1.", name)
    name = re.sub(r"concat\.\w+/", "out_conv.", name)
    return name.replace("norm.", "bn.").replace("ese.fc", "ese.linear")


def in_1e100_names(name, blocks=(1, 1, 1, 1)):
    before = [sum(blocks[:i]) for i in range(4)]
    name = re.sub(r"stem\.stem_(\d)/", lambda m: f"stem.{int(m[1]) - 1}/", name)
    name = re.sub(r"stage(\d)\.OSA\d_(\d+)\.", lambda m: f"body.osa{before[int(m[1]) - 2] + int(m[2]) - 1}.", name)
    name = re.sub(r"layers\.(\d)\.\w+/", r"layers.\1/", name)
    name = re.sub(r"concat\.\w+/", "exit_conv/", name)
    return name.replace("/conv.", ".0.").replace("/norm.", ".1.").replace("ese.fc", "ese.conv")


def under(prefix, net, rename=lambda name: name):
    return {prefix + rename(name): tensor.clone() for name, tensor in net.state_dict().items()}


def zeros(*names):
    return {name: torch.zeros(3, 2) for name in names}


def streampetr(path):
    net = network()
    torch.save({**under("img_backbone.", net), **zeros("img_neck.lateral_convs.0.conv.weight", "bbox_head.a")}, path)
    return net


def dd3d(path):
    net = network()
    others = zeros("backbone.fpn_lateral2.weight", "fcos2d_head.cls_logits.weight")
    content = {"model": under("backbone.bottom_up.", net) | others, "optimizer": {"state": {}}, "iteration": 9}
    torch.save(content, path)
    return net


def lightning(path):
    net = network("V-27-slim")
    content = {
        "epoch": 3,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": {**under("model.backbone.bottom_up.", net), **zeros("model.roi_heads.box.weight")},
        "optimizer_states": [{"state": {}, "param_groups": []}],
        "lr_schedulers": [],
        "hyper_parameters": {"lr": 0.1},
    }
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return net


def mmdet(path):
    net = network("V-27-slim", deformation=Deformation((False, True, True, True), modulated=True))
    meta = {"mmdet_version": "2.28.2", "CLASSES": ("car", "bus"), "epoch": 12}
    state = {**under("module.backbone.", net), **zeros("module.neck.fpn_convs.0.conv.weight", "module.bbox_head.a")}
    torch.save({"meta": meta, "state_dict": state, "optimizer": {"state": {}}}, path)
    return net


def planner_with_timm(path):
    net = network(ese="last")
    save_file({**under("encoder.backbone.", net, in_timms_names), **zeros("decoder.query")}, path)
    return net


def toolbox(path):
    net = network("V-27-slim", ese="all", identity="matching", **PAPER)
    torch.save(under("", net, in_toolbox_names), path)
    return net


def belenko(path):
    net = network("V-27-slim", ese="all", identity=True, stage_out_channels=(128, 256, 348, 512), **PAPER)
    state = under("", net, in_1e100_names)
    torch.save({**state, **zeros("classifier.3.weight")}, path)
    return net


def caffe_style(path):
    net = network()
    arrays = {name: tensor.numpy() for name, tensor in under("backbone.bottom_up.", net).items()}
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "somebody"}))
    return net


WILD = {
    "streampetr.pth": streampetr,
    "dd3d.pth": dd3d,
    "planner.ckpt": lightning,
    "mmdet.pth": mmdet,
    "planner.safetensors": planner_with_timm,
    "vovnet27_slim_ese.pth": toolbox,
    "vovnet27-slim.pt": belenko,
    "backbone.pkl": caffe_style,
}


def layer(tensors, name, x, parts, stride=1):
    conv, norm = (f"{name}.{part}" for part in parts)
    weight = tensors[f"{conv}.weight"]
    x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
    running = (tensors[f"{norm}.running_mean"], tensors[f"{norm}.running_var"])
    return F.relu(F.batch_norm(x, *running, tensors[f"{norm}.weight"], tensors[f"{norm}.bias"]))


def by_its_maker(tensors, image, places, parts, layers, concat, gate, adds):
    """The paper's network: a stem of stride 2, and before each stage a pooling of stride 2, windows centred."""
    x = image
    for i in range(3):
        x = layer(tensors, f"stem.{i}", x, parts, stride=1 if i else 2)
    maps = []
    for stage in places:
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        for block in stage:
            seen = [x]
            while f"{block}.{layers}.{len(seen) - 1}.{parts[0]}.weight" in tensors:
                seen.append(layer(tensors, f"{block}.{layers}.{len(seen) - 1}", seen[-1], parts))
            out = layer(tensors, f"{block}.{concat}", torch.cat(seen, 1), parts)
            gates = F.conv2d(
                out.mean((2, 3), keepdim=True), tensors[f"{block}.{gate}.weight"], tensors[f"{block}.{gate}.bias"]
            )
            out = out * F.relu6(gates + 3) / 6
            x = out + x if adds(block, x, out) else out
        maps.append(x)
    return maps


def toolbox_maps(tensors, image):
    places = [[f"stages.{i}.module_0"] for i in range(4)]
    return by_its_maker(
        tensors,
        image,
        places,
        ("conv", "bn"),
        "convs",
        "out_conv",
        "ese.linear",
        lambda _, x, out: x.shape == out.shape,
    )


def belenko_maps(tensors, image):
    places = [[f"body.osa{i}"] for i in range(4)]
    return by_its_maker(tensors, image, places, "01", "layers", "exit_conv", "ese.conv", lambda *_: False)
