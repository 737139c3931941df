"""Released and bundled models: what there is, where its weights come from, and how they are read safely.

`registry` lists, `downloads` and `transfer` fetch, `reading` and `pickles` read files as data, `names` maps tensor
names, `checkpoints` loads into a module, `resolve` turns a MODEL argument into a config and weights.
"""
