"""Released and bundled models: what there is, where its weights come from, and how they are read safely.

`registry` lists, `downloads` and `transfer` fetch, also from `mirrors`, `reading` and `pickles` read files as data,
`names` and `vovnet_names` map tensor names, `identify` and `known` say what a file holds, `convert` writes it clean,
`checkpoints` loads into a module, `resolve` and `bare` turn a MODEL argument into a config and weights.
"""
