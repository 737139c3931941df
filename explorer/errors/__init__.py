"""Where and why objects are missed: figures by size, error types, autopsies of misses, paired comparisons."""
