"""The errors that the paper reports in section 4.2."""

ERRORS = {
    64: {"cnn": 4.0, "st_cnn_single": 3.7, "st_cnn_multi": 3.6},
    128: {"cnn": 5.6, "st_cnn_single": 3.9, "st_cnn_multi": 3.9},
}
"""Sequence errors (numbers not entirely right) in per cent, by size in pixels and `model_name`."""

SOURCE = "svhn"
"""The `config.data.source` of the data that the errors were measured on."""
