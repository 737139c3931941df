"""Feature maps: a recorder that leaves the model as it was, views of maps, and what speaks for a detection."""
