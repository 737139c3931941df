"""Two-stage detectors: Faster, Mask and Panoptic R-CNN."""
