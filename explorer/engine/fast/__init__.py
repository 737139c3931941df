"""The fast way to run a detector: the same detections, its expensive parts run by what is fastest on this machine."""
