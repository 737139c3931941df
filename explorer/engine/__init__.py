"""Running detectors: train, evaluate, predict."""

import logging

# detectron2 asks torch at every forward pass whether it is being traced, of which torch warns once per process
logging.getLogger("torch.fx._symbolic_trace").setLevel(logging.ERROR)
