"""FiftyOne: data sets, detections and what became of each object, in its App and its database."""
