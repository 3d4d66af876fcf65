"""The data set `gtsrb` of tensorflow-datasets: its archives, its builder, the prepared data."""
