"""GTSRB as a data set of tensorflow-datasets (tfds), written without TensorFlow.

Importing this file registers the data set for `tfds.builder("gtsrb")`.
"""

import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from stn_jax.experiments.data.picture_shards import KeyedExamples, picture_shards
from stn_jax.experiments.data.unusable import leave_out
from stn_jax.experiments.traffic_signs.gtsrb.archives import (
    ARCHIVES,
    URL,
    SignPicture,
    Split,
    archives_in,
    check_split,
    read_pictures,
)
from stn_jax.experiments.traffic_signs.gtsrb.usable import NO_TRACK, NUM_CLASSES, to_example


class Builder(tfds.core.ShardBasedBuilder):
    """The German Traffic Sign Recognition Benchmark, or other signs in archives of its format.

    The examples are in the order of the CSV files, class by class.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"The archives {', '.join(name for names in ARCHIVES.values() for name in names)}. If none "
        "of them is there, they are fetched."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
                    "file_name": tfds.features.Text(),
                    "label": tfds.features.ClassLabel(num_classes=NUM_CLASSES),
                    "track": tfds.features.Scalar(
                        np.int32,
                        doc="Pictures of the same sign have the same number, which is unique "
                        f"within the class; {NO_TRACK} in the test set.",
                    ),
                    "roi": tfds.features.BBoxFeature(doc="The region that the sign fills."),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://benchmark.ini.rub.de/gtsrb_dataset.html",
            license="free for research with citation",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
        )

    def _shard_iterators_per_split(
        self, dl_manager: tfds.download.DownloadManager
    ) -> Mapping[str, Sequence[Callable[[], KeyedExamples]]]:
        manual_dir = None
        with contextlib.suppress(AssertionError):  # there is none, or it is empty
            manual_dir = Path(dl_manager.manual_dir)
        if not (paths := archives_in(manual_dir)):
            urls = {split: [URL + name for name in names] for split, names in ARCHIVES.items()}
            paths = {
                split: tuple(map(Path, these)) for split, these in dl_manager.download(urls).items()
            }
        splits = [check_split(split, these) for split, these in paths.items()]
        return {split.name: self._shards(split) for split in splits}

    def _shards(self, split: Split) -> list[Callable[[], KeyedExamples]]:
        official = [self.url_infos[URL + name].checksum for name in ARCHIVES[split.name]]
        report: dict[str, Any] = {
            "archive_bytes": split.num_bytes,
            "archive_sha256": hashlib.sha256("".join(split.digests).encode()).hexdigest(),
            "official": list(split.digests) == official,
            "listed": len(split.listed),
            "kept": 0,
            "resized": 0,
            "left_out": {},
        }
        self.info.metadata[split.name] = report
        signs = {}
        for sign in split.listed:
            if sign.name in signs:
                leave_out(report, "listed twice", sign.name, split.path)
            elif sign.name not in split.present:
                leave_out(report, "not in the archive", sign.name, split.path)
            else:
                signs[sign.name] = sign

        def counted(picture: SignPicture) -> dict[str, Any]:
            example, resized = to_example(picture, split.name)
            report["resized"] += resized
            return example

        pictures = read_pictures(split, signs.values())
        return picture_shards(pictures, len(signs), counted, report, split.path, split=split.name)
