"""Checkpoints of any maker: files read as data, their tensors named as ours, loaded whole or not at all.

`reading` opens a file: `formats` tells safetensors from both kinds of `torch.save`, `archives`, `pickles` and
`pickle_machine` read those without running anything, `tensors` builds tensors over the bytes. `names` and
`vovnet_names` map tensor names, `loading` puts tensors into a module and writes safetensors.
"""

from explorer.zoo.checkpoints.loading import LoadReport, load_weights, save_safetensors
from explorer.zoo.checkpoints.reading import CheckpointError, read_checkpoint

__all__ = ["CheckpointError", "LoadReport", "load_weights", "read_checkpoint", "save_safetensors"]
