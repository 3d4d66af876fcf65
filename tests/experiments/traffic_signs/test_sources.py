import numpy as np
import pytest
from ml_collections import ConfigDict

from stn_jax.errors import UserError
from stn_jax.experiments.traffic_signs.gtsrb.prepared import prepare, read_signs
from stn_jax.experiments.traffic_signs.sources import (
    held_out_tracks,
    load_signs,
    load_traffic_signs,
)
from tests.experiments.traffic_signs.archives import decode, training, write_archives

DEFAULTS = {
    "manual_dir": "",
    "subset": 0,
    "held_out": 0.0,
    "evaluate_on": "test",
    "size": 16,
    "context": 0.0,
}
CLASSES, TRACKS, FRAMES = (0, 1, 42), 10, 3
COUNT = len(CLASSES) * TRACKS * FRAMES


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    prepare(path, write_archives(path / "archives", train=training(CLASSES, TRACKS, FRAMES)))
    return path


def data_config(data_dir, **overrides):
    return ConfigDict(DEFAULTS | {"data_dir": str(data_dir)} | overrides)


def test_images_and_classes_belong_together(data_dir):
    train, test = load_traffic_signs(data_config(data_dir))
    assert train.images.shape == (COUNT, 16, 16, 3) and test.images.shape == (5, 16, 16, 3)
    builder = prepare(data_dir, None)
    for split, examples in (("train", train), ("test", test)):
        assert isinstance(examples.images, np.memmap) and examples.images.dtype == np.uint8
        assert examples.labels.dtype == np.int32
        shades = {sign.label: [] for sign in read_signs(builder, split)}
        for sign in read_signs(builder, split):
            shades[sign.label].append(decode(sign.png).mean())
        for label, expected in shades.items():
            found = examples.images[examples.labels == label].mean(axis=(1, 2, 3))
            np.testing.assert_allclose(sorted(found), sorted(expected), atol=3)
    names = [sign.label for sign in read_signs(builder, "test")]
    assert test.labels.tolist() == names  # in the order of the list


def test_training_examples_are_mixed_in_one_way(data_dir, tmp_path):
    builder = prepare(data_dir, None)
    one, other = (
        load_signs(tmp_path / name, builder, "train", size=16, context=0) for name in "ab"
    )
    np.testing.assert_array_equal(one.examples.images, other.examples.images)
    np.testing.assert_array_equal(one.tracks, other.tracks)
    places = one.examples.labels * TRACKS + one.tracks
    assert np.abs(np.diff(places)).mean() > 5  # in the order of the lists, it is below 2
    some, _ = load_traffic_signs(data_config(data_dir, subset=30))
    assert np.unique(some.labels, return_counts=True)[1].tolist() == pytest.approx([10] * 3, abs=5)


def test_whole_tracks_are_held_out(data_dir, tmp_path):
    everything, test = load_traffic_signs(data_config(data_dir))
    learned, held_out = load_traffic_signs(
        data_config(data_dir, held_out=0.2, evaluate_on="held_out")
    )
    assert np.unique(held_out.labels, return_counts=True)[1].tolist() == [2 * FRAMES] * 3
    assert len(learned.labels) + len(held_out.labels) == COUNT
    both = np.concatenate([learned.images, held_out.images])
    assert {image.tobytes() for image in both} == {im.tobytes() for im in everything.images}
    signs = load_signs(tmp_path, prepare(data_dir, None), "train", size=16, context=0, held_out=0.2)
    np.testing.assert_array_equal(signs.examples.images[: signs.num_learned], learned.images)
    pairs = list(zip(signs.examples.labels.tolist(), signs.tracks.tolist(), strict=True))
    assert not set(pairs[: signs.num_learned]) & set(pairs[signs.num_learned :])
    few, same_test = load_traffic_signs(data_config(data_dir, held_out=0.2, subset=7))
    np.testing.assert_array_equal(few.images, learned.images[:7])
    np.testing.assert_array_equal(same_test.images, test.images)


@pytest.fixture(scope="module")
def drives():
    """Returns classes and tracks of which some are short, as GTSRB's are not."""
    random = np.random.default_rng(0)
    tracks_of = random.integers(2, 75, 43)
    described = [
        (label, track)
        for label, count in enumerate(tracks_of)
        for track in range(count)
        for _ in range(random.integers(1, 31))
    ]
    return np.array(described).T


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.5])
def test_the_share_of_each_class_and_what_is_held_out_does_not_depend_on_the_order(drives, share):
    labels, tracks = drives
    held_out = held_out_tracks(labels, tracks, share)
    pairs = labels * 1000 + tracks
    assert not set(pairs[held_out]) & set(pairs[~held_out])
    for label in range(43):
        total = len(np.unique(tracks[labels == label]))
        count = len(np.unique(tracks[held_out & (labels == label)]))
        assert count == max(1, round(share * total))
    order = np.random.default_rng(1).permutation(len(labels))
    mixed = held_out_tracks(labels[order], tracks[order], share)
    np.testing.assert_array_equal(mixed, held_out[order])
    # Without the other classes, too; and a larger share includes the tracks of a smaller one.
    alone = held_out_tracks(labels[labels == 7], tracks[labels == 7], share)
    np.testing.assert_array_equal(alone, held_out[labels == 7])
    assert not np.any(held_out & ~held_out_tracks(labels, tracks, 0.5))


def test_no_share_and_a_class_with_a_single_track():
    labels, tracks = np.array([0, 0, 1, 1, 1]), np.array([4, 4, 4, 5, 5])
    assert not held_out_tracks(labels, tracks, 0.0).any()
    held_out = held_out_tracks(labels, tracks, 0.5)
    assert not held_out[:2].any() and held_out[2:].sum() in (1, 2)


def test_the_region_is_cut_out_with_its_context(data_dir):
    whole, _ = load_traffic_signs(data_config(data_dir))
    close, _ = load_traffic_signs(data_config(data_dir, context=1.0, size=24))
    assert close.images.shape == (COUNT, 24, 24, 3)
    np.testing.assert_array_equal(close.labels, whole.labels)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"evaluate_on": "train"}, r"config\.data\.evaluate_on"),
        ({"evaluate_on": "held_out"}, "needs a config.data.held_out above 0"),
        ({"held_out": 0.6}, r"held_out must be in 0\.\.0\.5, got 0\.6"),
        ({"held_out": float("nan")}, r"held_out must be in 0\.\.0\.5"),
        ({"subset": COUNT + 1}, rf"subset must be in 0\.\.{COUNT}, got"),
        ({"held_out": 0.2, "subset": COUNT}, r"subset must be in 0\.\.72, got"),
        ({"context": 0.5}, r"config\.data\.context must be at least 1"),
    ],
)
def test_settings_that_do_not_fit_are_told(data_dir, overrides, message):
    with pytest.raises(UserError, match=message) as error:
        load_traffic_signs(data_config(data_dir, **overrides))
    assert "\n" not in str(error.value)


def test_nothing_can_be_held_out_of_classes_with_one_track(tmp_path):
    folder = write_archives(tmp_path / "a", train=training((3, 4), 1, 2))
    config = data_config(tmp_path, manual_dir=str(folder), held_out=0.5, evaluate_on="held_out")
    with pytest.raises(UserError, match="a class with at least two tracks"):
        load_traffic_signs(config)
