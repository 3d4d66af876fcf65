"""Data sets of tensorflow-datasets, in both formats of their files."""

import io
import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.own_pictures.sources import list_pictures, load_pictures
from tests.experiments.tiny_pictures import tiny_pictures_config

tfds = pytest.importorskip("tensorflow_datasets")
pytest.importorskip("array_record")

NAMES = ("newt", "cat", "dog")
COUNTS = {"train": 30, "test": 12}


def pixels(split, number):
    return np.random.default_rng((len(split), number)).integers(0, 256, (16, 16, 3), np.uint8)


def make_builder(features, splits=COUNTS):
    class Pets(tfds.core.ShardBasedBuilder, skip_registration=True):
        name = "pets"
        VERSION = tfds.core.Version("1.2.0")

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
            )

        def _shard_iterators_per_split(self, dl_manager):
            return {split: [lambda split=split: self._examples(split)] for split in splits}

        def _examples(self, split):
            for number in range(splits[split]):
                png = io.BytesIO()
                Image.fromarray(pixels(split, number)).save(png, "PNG")
                content = png.getvalue()
                yield (
                    number,
                    {"picture": content, "species": number % 3}
                    if ("picture" in features)
                    else {"size": number},
                )

    return Pets


def features():
    return {
        "picture": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
        "species": tfds.features.ClassLabel(names=NAMES),
    }


def prepare(root, **options):
    builder = make_builder(**options)(data_dir=root, file_format="array_record")
    builder.download_and_prepare(download_dir=root / "downloads")
    return builder


def to_tfrecord(builder):
    """Writes the data set's records to files of the other format, without their checksums."""
    folder = builder.data_path
    raw = tfds.decode.DeserializeMethod.RAW_BYTES
    for split in builder.info.splits:
        (path,) = folder.glob(f"*-{split}.array_record*")
        records = builder.as_data_source(split, deserialize_method=raw)
        framed = [len(r).to_bytes(8, "little") + bytes(4) + r + bytes(4) for r in records]
        path.with_name(path.name.replace("array_record", "tfrecord")).write_bytes(b"".join(framed))
        path.unlink()
    info = json.loads((folder / "dataset_info.json").read_text())
    info["fileFormat"] = "tfrecord"
    (folder / "dataset_info.json").write_text(json.dumps(info))


@pytest.fixture(scope="module", params=["array_record", "tfrecord"])
def root(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    builder = prepare(folder, features=features())
    if request.param == "tfrecord":
        to_tfrecord(builder)
    return folder


def data_config(root, **settings):
    overrides = {f"data__{name}": value for name, value in ({"tfds": "pets"} | settings).items()}
    return tiny_pictures_config("", root, **overrides).data


def test_pictures_classes_and_order_are_those_of_the_data_set(root):
    config = data_config(root)
    assert list(list_pictures(config).class_names) == list(NAMES)
    found = load_pictures(config)
    for split, examples in (("train", found.train), ("test", found.test)):
        expected = [pixels(split, number) for number in range(COUNTS[split])]
        np.testing.assert_array_equal(examples.images, expected)
        np.testing.assert_array_equal(examples.labels, np.arange(COUNTS[split]) % 3)
    assert not found.notes
    assert "tensorflow" not in sys.modules


def test_test_pictures_may_be_a_part_of_train(root):
    whole = load_pictures(data_config(root)).train
    found = load_pictures(data_config(root, split="random", test_share=0.3))
    assert (len(found.train.labels), len(found.test.labels)) == (21, 9)
    both = np.concatenate([found.train.images, found.test.images])
    assert {image.tobytes() for image in both} == {image.tobytes() for image in whole.images}
    some = load_pictures(data_config(root, subset=7)).train
    np.testing.assert_array_equal(some.images, whole.images[:7])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tfds": "cats"}, r"cats is not prepared in .*: prepare it there with `tfds build cats"),
        ({"tfds": "pets:3.0.0"}, r"pets:3.0.0 is not prepared in .*, but there are .:1.2.0|pets"),
        ({"tfds": "../pets"}, r"is no name of a data set"),
        ({"split": "group"}, "split=group is for --config.data.dir"),
        ({"classes": ("cat", "dog")}, "classes must be those of pets"),
    ],
)
def test_what_cannot_be_read_gets_one_clear_line(root, settings, message):
    with pytest.raises(UserError, match=message) as error:
        list_pictures(data_config(root, **settings))
    assert str(error.value).isprintable()


def test_several_versions_are_named_and_one_can_be_chosen(root, tmp_path):
    for version in ("1.2.0", "1.3.0"):
        shutil.copytree(root / "pets" / "1.2.0", tmp_path / "pets" / version)
    with pytest.raises(UserError, match=r"several data sets \(pets:1.2.0, pets:1.3.0\)"):
        list_pictures(data_config(tmp_path))
    assert list_pictures(data_config(tmp_path, tfds="pets:1.3.0")).class_names == NAMES


def test_a_data_set_without_pictures_or_test_split_is_refused(tmp_path):
    prepare(tmp_path / "sizes", features={"size": tfds.features.Scalar(np.int32)})
    with pytest.raises(UserError, match=r"no picture with one class each .*size"):
        list_pictures(data_config(tmp_path / "sizes"))
    prepare(tmp_path / "train", features=features(), splits={"train": 6})
    with pytest.raises(UserError, match=r"no split test \(it has train\): .*split=random"):
        list_pictures(data_config(tmp_path / "train"))


def test_a_damaged_file_is_reported(root, tmp_path):
    shutil.copytree(root / "pets", tmp_path / "pets")
    for path in (tmp_path / "pets" / "1.2.0").glob("*-test.*"):
        path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match="cannot read the pictures in"):
        load_pictures(data_config(tmp_path))
