"""Released and bundled models: what there is, where its weights come from, and how they are read safely.

`registry` lists, `downloads` fetches, also from the user's mirror, `refusals` says what to do where a source refuses,
`checkpoints` reads files as data and loads them into a module, `identify` says what a file holds and writes it clean,
`trained` and `lazy_runs` read what training left, `resolve` and `bare` turn a MODEL argument into a config and weights.
"""
