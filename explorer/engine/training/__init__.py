"""Training: the command, the loop, checkpoints that go on bit by bit, and learning from a trained detector."""
