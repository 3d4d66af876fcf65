import hashlib
from pathlib import Path

import chex
import numpy as np
import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.street_numbers import composed, crops, sources
from stn_jax.experiments.street_numbers.config import make_config
from stn_jax.experiments.street_numbers.sources import describe, load_street_numbers

STITCHED = Path(__file__).parents[4] / "shared" / "svhn_stitched"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def real_data_dir(tmp_path_factory):
    """Returns a folder of its own: to others, numbers prepared in theirs would be SVHN."""
    return str(tmp_path_factory.mktemp("real"))


def data_config(data_dir, variant="synthetic", **overrides):
    config = make_config("cnn", variant).data
    config.data_dir = data_dir
    config.synthetic.update({"train": 40, "test": 6})
    config.update(overrides)
    return config


def test_synthetic_numbers_come_by_way_of_archives_and_builder(data_dir):
    train, test = load_street_numbers(data_config(data_dir))
    assert train.images.shape == (40, 64, 64, 3) and test.images.shape == (6, 64, 64, 3)
    assert train.images.std() > 20
    for examples in (train, test):
        lengths = (examples.labels != 10).sum(axis=1)
        assert lengths.min() >= 1
        for digits, length in zip(examples.labels, lengths, strict=True):
            assert np.all(digits[:length] < 10) and np.all(digits[length:] == 10)


def test_the_wide_frames_are_shown_whole(data_dir):
    train, _ = load_street_numbers(data_config(data_dir, "synthetic,128"))
    assert train.images.shape == (40, 128, 128, 3)


def test_held_out_examples_are_kept_apart_from_what_is_learned(data_dir):
    everything, test = load_street_numbers(data_config(data_dir))
    learned, same_test = load_street_numbers(data_config(data_dir, held_out=10))
    assert len(learned.labels) == 30
    np.testing.assert_array_equal(test.images, same_test.images)
    _, held_out = load_street_numbers(data_config(data_dir, held_out=10, evaluate_on="held_out"))
    np.testing.assert_array_equal(
        np.concatenate([learned.images, held_out.images]), everything.images
    )
    few, _ = load_street_numbers(data_config(data_dir, held_out=10, subset=7))
    np.testing.assert_array_equal(few.images, everything.images[:7])
    np.testing.assert_array_equal(few.labels, everything.labels[:7])


@pytest.mark.parametrize(("held_out", "subset"), [(0, 0), (3, 0), (3, 5)])
def test_drawn_numbers_follow_the_real_ones_and_are_never_evaluated_on(
    archives, real_data_dir, held_out, subset
):
    def load(drawn, evaluate_on):
        config = data_config(real_data_dir, "real_small", manual_dir=str(archives))
        config.update({"held_out": held_out, "subset": subset, "drawn": drawn})
        config.evaluate_on = evaluate_on
        return load_street_numbers(config)

    for evaluate_on in ["test", "held_out"] if held_out else ["test"]:
        real, evaluated = load(0, evaluate_on)
        both, evaluated_with_drawn = load(7, evaluate_on)
        assert len(real.labels) == (subset or 12 - held_out)
        chex.assert_trees_all_equal(evaluated, evaluated_with_drawn)
        for with_drawn, alone in zip(both, real, strict=True):
            assert len(with_drawn) == len(alone) + 7
            np.testing.assert_array_equal(with_drawn[:-7], alone)
        more, _ = load(9, evaluate_on)
        np.testing.assert_array_equal(more.images[:-2], both.images)


@pytest.mark.parametrize(("held_out", "subset"), [(0, 0), (3, 5)])
def test_composed_numbers_are_made_of_learned_ones_alone(
    archives, real_data_dir, monkeypatch, held_out, subset
):
    used = []

    def spy(numbers, count, *, seed):
        used.extend(numbers)
        return composed.compose(numbers, count, seed=seed)

    monkeypatch.setattr(sources, "compose", spy)
    config = data_config(real_data_dir, "real_small", manual_dir=str(archives))
    config.update({"held_out": held_out, "subset": subset, "composed": 0, "drawn": 0})
    alone, _ = load_street_numbers(config)
    config.composed = 6
    both, evaluated = load_street_numbers(config)
    for with_composed, real in zip(both, alone, strict=True):
        assert len(with_composed) == len(real) + 6
        np.testing.assert_array_equal(with_composed[:-6], real)
    kind = {"context": config.context, "letterbox": config.letterbox}
    seen = [crops.cut_out(number, shape=both.images.shape[1:3], **kind) for number in used]
    np.testing.assert_array_equal(seen, alone.images)
    config.composed = 0
    chex.assert_trees_all_equal(load_street_numbers(config)[1], evaluated)


def test_the_name_of_real_numbers_says_where_they_are_from(archives, real_data_dir, monkeypatch):
    config = data_config(real_data_dir, "real_small", manual_dir=str(archives))
    assert describe(config) == "svhn"
    digests = {
        split: hashlib.sha256((archives / f"{split}.tar.gz").read_bytes()).hexdigest()
        for split in ("train", "test")
    }
    monkeypatch.setattr(sources, "_STITCHED_SHA256", digests)
    assert describe(config) == "4,827 real house numbers stitched from SVHN's test crops"


@pytest.mark.skipif(not STITCHED.is_dir(), reason=f"needs {STITCHED}")
def test_the_stitched_numbers_are_prepared_without_extra_and_named(tmp_path, capfd):
    config = data_config(str(tmp_path), "real_small", manual_dir=str(STITCHED))
    train, test = load_street_numbers(config)
    assert train.images.shape == (3862, 32, 64, 3) and test.images.shape == (965, 32, 64, 3)
    for examples, counts in ((train, [758, 2524, 543, 36, 1]), (test, [197, 601, 158, 9, 0])):
        lengths = (examples.labels != 10).sum(axis=1)
        assert np.bincount(lengths, minlength=6)[1:].tolist() == counts
    assert describe(config) == "4,827 real house numbers stitched from SVHN's test crops"
    out, err = capfd.readouterr()
    assert "extra" not in out + err and "warning" not in (out + err).lower()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"drawn": 3}, r"set config\.data\.synthetic\.train instead"),
        ({"source": "svnh"}, "did you mean 'svhn'"),
        ({"evaluate_on": "train"}, r"config\.data\.evaluate_on"),
        ({"held_out": 40}, r"held_out must be in 0\.\.39, got 40"),
        ({"held_out": -1}, r"held_out must be in 0\.\.39, got -1"),
        ({"subset": 41}, r"subset must be in 0\.\.40, got 41"),
        ({"evaluate_on": "held_out"}, "needs a config.data.held_out above 0"),
    ],
)
def test_settings_that_do_not_fit_are_told(data_dir, overrides, message):
    with pytest.raises(UserError, match=message) as error:
        load_street_numbers(data_config(data_dir, **overrides))
    assert "\n" not in str(error.value)


def test_synthetic_numbers_never_stand_in_for_real_ones(data_dir, monkeypatch):
    load_street_numbers(data_config(data_dir))
    monkeypatch.setattr("stn_jax.experiments.data.tfds_support.answers", lambda url: False)
    with pytest.raises(UserError, match="svhn_multi:synthetic_small"):
        load_street_numbers(data_config(data_dir, "svhn", held_out=0))
