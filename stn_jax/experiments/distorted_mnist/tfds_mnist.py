"""Prepares and reads the official `mnist` of tensorflow-datasets (tfds) without TensorFlow."""

import contextlib
import importlib.util
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from stn_jax.errors import UserError
from stn_jax.experiments.data import tfds_support

Arrays = tuple[np.ndarray, np.ndarray]  # images [N, 28, 28, 1] uint8, labels [N] int32


def load(data_dir: str | None, manual_dir: str | None) -> tuple[Arrays, Arrays]:
    """Returns the training and test splits in tfds's order, after preparing them if necessary.

    Args:
        data_dir: tfds's folder, with `mnist/` in it. None: tfds's default.
        manual_dir: the folder with the four archives, if they should not be downloaded.

    Raises:
        UserError: if archives are missing or damaged, there is no network to download them,
          `data_dir` cannot be written, or prepared data cannot be read.
    """
    import tensorflow_datasets as tfds  # the import takes a second

    tfds_support.progress_on_a_terminal_only()
    root = tfds_support.root(data_dir)
    with tfds_support.user_error(
        f"cannot read the MNIST data in {root / 'mnist'}",
        "delete that folder to prepare them again, or choose another --config.data.data_dir=DIR",
    ):
        builder = tfds.builder("mnist", data_dir=root, file_format="array_record")
        if not builder.data_path.exists():
            _prepare(builder, root, manual_dir)
        return _read(builder, "train"), _read(builder, "test")


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
        png = io.BytesIO(feature["image"].bytes_list.value[0])
        images[i, :, :, 0] = np.asarray(Image.open(png, formats=("PNG",)))
        labels[i] = feature["label"].int64_list.value[0]
    return images, labels


def _prepare(builder: Any, root: Path, manual_dir: str | None) -> None:
    """Lets tfds write the data below `root`, from `manual_dir` or else from the network."""
    import tensorflow_datasets as tfds

    if manual_dir:
        _check_archives(builder, Path(manual_dir).expanduser())
    elif not tfds_support.answers(next(iter(builder.url_infos))):
        raise UserError(
            f"MNIST is not in {root} and {builder.URL} cannot be reached: run with "
            "--config.data.source=embedded, or with --config.data.manual_dir=DIR where DIR holds "
            f"the archives {', '.join(_names(builder))}, or on a machine with a network, or with "
            "--config.data.data_dir=DIR where DIR holds MNIST already prepared"
        )
    # tfds recognises extracted files by name alone, and Fashion-MNIST's archives have the same
    # names: extract to a separate folder.
    with (
        tfds_support.user_error(
            f"cannot prepare MNIST in {root}",
            "fix this and run again, or choose another --config.data.data_dir=DIR",
        ),
        tempfile.TemporaryDirectory() as scratch,
        _without_tensorflow(),
    ):
        builder.download_and_prepare(
            download_dir=scratch,
            download_config=tfds.download.DownloadConfig(manual_dir=manual_dir or None),
        )


def _names(builder: Any) -> list[str]:
    return [info.filename for info in builder.url_infos.values()]


def _check_archives(builder: Any, folder: Path) -> None:
    """Raises UserError unless all four archives are in `folder` with tfds's checksums.

    tfds also checks them, but it starts to write first, and would download missing archives.
    """
    from tensorflow_datasets.core.download import checksums

    missing = [name for name in _names(builder) if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"--config.data.manual_dir={folder} lacks {', '.join(missing)}: "
            f"fetch what is missing from {builder.URL}"
        )
    for url, expected in builder.url_infos.items():
        archive = folder / expected.filename
        try:
            actual = checksums.compute_url_info(archive)
        except OSError as error:
            raise UserError(
                f"cannot read {archive} ({error.strerror}): make it readable"
            ) from error
        if actual != expected:
            raise UserError(
                f"{archive} is damaged ({actual.size} bytes, {expected.size} expected; its "
                f"checksum differs from the one in tensorflow-datasets): fetch it again from {url}"
            )


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
