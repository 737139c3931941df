"""COCO's arithmetic by class name, with ids of our own: what is there, what was found, and every figure of it."""
