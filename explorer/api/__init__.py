"""What `import explorer` offers: functions of models and data, whose results show themselves in a notebook.

Each function takes whatever stands for its arguments (a model's name or a `Detector`, a data set or a `Truth`, a `Run`
or its folder), calls the rooms below, and puts their analysis, tables and figure into one `Result`.
"""
