import jax
import numpy as np
import pytest

from stn_jax.experiments.traffic_signs.classes import CLASS_NAMES, GROUPS
from stn_jax.experiments.traffic_signs.labels import SignLabels

LABELS = SignLabels()
STOP, YIELD, NO_ENTRY, KEEP_LEFT = map(
    CLASS_NAMES.index, ("stop", "yield", "no entry", "keep left")
)


def test_every_class_is_of_one_kind_and_has_a_name_of_its_own():
    assert sorted(sum(GROUPS.values(), ())) == list(range(43))
    assert [len(classes) for classes in GROUPS.values()] == [8, 4, 4, 8, 15, 4]
    assert len(set(CLASS_NAMES)) == 43
    for name, group in (("speed limit", "speed limits"), ("end of ", "derestriction")):
        named = [number for number, text in enumerate(CLASS_NAMES) if text.startswith(name)]
        assert tuple(named) == GROUPS[group]


def test_labels_and_kinds_have_words():
    labels = np.array([KEEP_LEFT, STOP])
    assert LABELS.texts(labels) == ["keep left", "stop"]
    assert [LABELS.group_text(kind) for kind in LABELS.groups(labels)] == ["mandatory", "unique"]


@pytest.mark.parametrize("seeds", [1, 2])
def test_errors_by_kind_against_a_count_by_hand(seeds):
    labels = np.array([STOP, YIELD, NO_ENTRY, STOP, KEEP_LEFT])
    answers = np.array([STOP, STOP, NO_ENTRY, YIELD, KEEP_LEFT])
    weights = np.array([1, 1, 1, 0, 1], np.float32)  # the fourth one only pads the batch
    sums = jax.device_get(LABELS.error_sums(np.eye(43)[answers], labels, weights))
    assert sums["examples_by_group"].tolist() == [0, 0, 0, 1, 0, 3]
    if seeds > 1:
        sums = {name: np.stack([value] * seeds) for name, value in sums.items()}
    details = LABELS.error_details(sums)
    assert details.keys() == {"error_percent_mandatory", "error_percent_unique"}
    np.testing.assert_allclose(details["error_percent_mandatory"], np.zeros(seeds).squeeze())
    np.testing.assert_allclose(
        details["error_percent_unique"], np.full(seeds, 100 / 3).squeeze(), rtol=1e-6
    )
