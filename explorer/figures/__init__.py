"""Every Plotly figure of the project: arrays and result types in, figure out."""
