"""Errors that others report on the official test set of 12,630 photographs, in per cent."""

ERRORS = {
    "CNN with three transformers, 48 px (Arcos-García et al. 2018)": 0.29,
    "committee of 25 CNNs, 48 px (Cireşan et al. 2012)": 0.54,
    "human, average (Stallkamp et al. 2012)": 1.16,
    "multi-scale CNN, 32 px (Sermanet and LeCun 2011)": 1.69,
}
"""By method. Sermanet and LeCun's error is that of the competition's final; the 0.83 in their paper
is for the test set of its first phase."""
