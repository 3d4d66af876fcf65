"""Prepares and reads the official `mnist` of tensorflow-datasets (tfds) without TensorFlow."""

import contextlib
import importlib.util
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from stn_jax.errors import UserError
from stn_jax.experiments.data import tfds_support
from stn_jax.experiments.distorted_mnist import idx_files

VERSION = "3.0.1"
LENGTHS = {"train": 60_000, "test": 10_000}

Arrays = tuple[np.ndarray, np.ndarray]  # images [N, 28, 28, 1] uint8, labels [N] int32


def load(data_dir: str | None, manual_dir: str | None) -> tuple[Arrays, Arrays]:
    """Returns the training and test splits in tfds's order, after preparing them if necessary.

    Args:
        data_dir: tfds's folder, with `mnist/` in it. None: tfds's default.
        manual_dir: the folder with MNIST's four files, if they should not be downloaded.

    Raises:
        UserError: if files are missing or damaged, there is no network to download them, `data_dir`
          cannot be written, or prepared data cannot be read.
    """
    tfds_support.progress_on_a_terminal_only()
    folder = tfds_support.root(data_dir) / "mnist"
    data_path = folder / VERSION
    tfds_support.remove_incomplete(folder)
    if not data_path.exists():
        _prepare(folder.parent, manual_dir)
    with tfds_support.damage_reported("the MNIST data", folder):
        if (found := tfds_support.split_lengths(data_path, VERSION)) != LENGTHS:
            raise ValueError(f"{found} examples, not {LENGTHS}")
        builder = _builder(folder.parent)
        return _read(builder, "train"), _read(builder, "test")


def _builder(root: Path) -> Any:
    import tensorflow_datasets as tfds  # the import takes a second

    return tfds.builder(f"mnist:{VERSION}", data_dir=root, file_format="array_record")


def _read(builder: Any, split: str) -> Arrays:
    # Raw records and Pillow take 5 s for all of MNIST; tfds's feature decoding takes 11 s.
    import tensorflow_datasets as tfds
    from PIL import Image
    from tensorflow_datasets.proto import tf_example_pb2

    raw_bytes = tfds.decode.DeserializeMethod.RAW_BYTES
    source = builder.as_data_source(split, deserialize_method=raw_bytes)
    images = np.empty((len(source), 28, 28, 1), np.uint8)
    labels = np.empty(len(source), np.int32)
    for i, record in enumerate(source.__getitems__(range(len(source)))):
        feature = tf_example_pb2.Example.FromString(record).features.feature
        (png,) = feature["image"].bytes_list.value
        (labels[i],) = feature["label"].int64_list.value
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            if image.size != (28, 28) or image.mode != "L":
                raise ValueError(f"an image of {image.size} pixels, mode {image.mode}")
            images[i, :, :, 0] = np.asarray(image)
    return images, labels


def _prepare(root: Path, manual_dir: str | None) -> None:
    """Lets tfds write the data below `root`, from `manual_dir` or else from the network."""
    builder = _builder(root)
    contents = None
    if manual_dir:
        folder = tfds_support.manual_folder(manual_dir, idx_files.ARCHIVES)
        contents = idx_files.read(folder, builder.URL)
    elif not tfds_support.answers(next(iter(builder.url_infos))):
        raise UserError(
            f"MNIST is not in {root} and {builder.URL} cannot be reached: run with "
            "--config.data.source=embedded, or with --config.data.manual_dir=DIR where DIR holds "
            f"the files {', '.join(idx_files.ARCHIVES)}, or on a machine with a network, or with "
            "--config.data.data_dir=DIR where DIR holds MNIST already prepared"
        )

    def write(scratch: Path) -> None:
        if contents is not None:
            for name, content in contents.items():
                (scratch / name).write_bytes(content)
            builder._make_download_manager = lambda **_: _Unpacked(scratch, builder.url_infos)
        with _without_tensorflow():
            builder.download_and_prepare(download_dir=scratch)

    tfds_support.prepare_once(builder, write, "MNIST")


class _Unpacked:
    """Gives files of a folder to tfds as if it had fetched and unpacked them."""

    def __init__(self, folder: Path, url_infos: Mapping[str, Any]):
        self.downloaded_size = sum(info.size for info in url_infos.values())
        self._folder = folder

    def download_and_extract(self, urls: Mapping[str, str]) -> dict[str, Path]:
        return {name: self._folder / Path(url).stem for name, url in urls.items()}


@contextlib.contextmanager
def _without_tensorflow() -> Iterator[None]:
    """Replaces the four TensorFlow functions with which tfds's builder prepares MNIST.

    The replacements open files, pass on a path and encode PNGs; the builder, the checksums and the
    records are still those of tfds. If TensorFlow is installed, nothing is replaced.
    """
    if importlib.util.find_spec("tensorflow"):
        yield
        return
    from PIL import Image
    from tensorflow_datasets.core.download import extractor
    from tensorflow_datasets.core.features import image_feature
    from tensorflow_datasets.core.utils import tf_utils
    from tensorflow_datasets.image_classification import mnist

    def encode_png(image: np.ndarray) -> SimpleNamespace:
        png = io.BytesIO()
        Image.fromarray(image[:, :, 0]).save(png, "png")
        return SimpleNamespace(numpy=png.getvalue)

    lent = SimpleNamespace(
        io=SimpleNamespace(gfile=SimpleNamespace(GFile=open)),
        compat=SimpleNamespace(as_text=str),
        image=SimpleNamespace(encode_png=encode_png),
        executing_eagerly=lambda: True,
    )
    modules: tuple[Any, ...] = (extractor, image_feature, tf_utils, mnist)
    lazy_tensorflow = mnist.tf
    try:
        for module in modules:
            module.tf = lent
        yield
    finally:
        for module in modules:
            module.tf = lazy_tensorflow
