"""The networks of the paper's experiments, one file per section."""
