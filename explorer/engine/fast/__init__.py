"""The fast way to run a detector: the same detections, its dear parts run by what is fastest here."""
