"""The errors that the paper reports in section 4.1."""

_ROWS = {
    "fcn": (2.1, 5.2, 3.1, 3.2, 13.2),
    "cnn": (1.2, 0.8, 1.5, 1.4, 3.5),
    "st_fcn_affine": (1.2, 0.8, 1.5, 2.7, 2.0),
    "st_fcn_projective": (1.3, 0.9, 1.4, 2.6),
    "st_fcn_tps": (1.1, 0.8, 1.4, 2.4),
    "st_cnn_affine": (0.7, 0.5, 0.8, 1.2, 1.7),
    "st_cnn_projective": (0.8, 0.6, 0.8, 1.3),
    "st_cnn_tps": (0.7, 0.5, 0.8, 1.1),
}
ERRORS = {
    distortion: {name: row[column] for name, row in _ROWS.items() if column < len(row)}
    for column, distortion in enumerate(("r", "rts", "p", "e", "tc"))
}
"""Test errors in per cent, by distortion and the task's `model_name`."""

SOURCE = "tfds"
"""The `config.data.source` of the data that the errors were measured on."""
