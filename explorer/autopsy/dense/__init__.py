"""Dense detectors, which find boxes in one stage: RetinaNet from anchors, FCOS and CenterMask from locations."""
