"""A detector run over a data set: instances, panoptic segments, semantic classes."""
