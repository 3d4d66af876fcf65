"""The data set `svhn_full_numbers` of tensorflow-datasets."""
