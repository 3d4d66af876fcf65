import gzip
import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stn_jax.experiments.street_numbers.svhn import tar_stream
from stn_jax.experiments.street_numbers.svhn.tar_stream import TarStream
from tests.experiments.street_numbers.archives import check_refused, tar

FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
NAMES = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1)
TYPES = (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)


def read(zipped):
    stream = TarStream(io.BytesIO(zipped), len(zipped))
    return [
        (member.name, member.type, member.linkname, stream.read(member.size))
        for member in stream.members()
    ]


def pack(members, **options):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz", **options) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()


@settings(max_examples=60)
@given(
    st.lists(st.tuples(NAMES, st.sampled_from(TYPES), NAMES, st.binary(max_size=1500)), max_size=5),
    st.sampled_from(FORMATS),
)
def test_what_tarfile_writes_is_read(members, form):
    infos = []
    for name, kind, target, data in members:
        info = tarfile.TarInfo(name)
        info.type = kind
        info.linkname = target if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
        info.size = len(data) if kind == tarfile.REGTYPE else 0
        infos.append((info, data[: info.size]))
    try:
        zipped = pack(infos, format=form)
    except ValueError:  # a name that the format cannot hold
        return
    with tarfile.open(fileobj=io.BytesIO(zipped)) as archive:
        expected = [
            (m.name, m.type, m.linkname, archive.extractfile(m).read() if m.isreg() else b"")
            for m in archive
        ]
    assert read(zipped) == expected


def test_headers_for_all_members_count_until_they_are_replaced():
    one, two = tarfile.TarInfo("one"), tarfile.TarInfo("two")
    one.pax_headers = {"path": "its own"}
    zipped = pack(
        [(one, b""), (two, b"")], format=tarfile.PAX_FORMAT, pax_headers={"path": "of all"}
    )
    assert [name for name, *_ in read(zipped)] == ["its own", "of all"]


def header(name, size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def pax(text):
    return header("x", len(text), tarfile.XHDTYPE) + text + bytes(-len(text) % 512)


def record(key, value):
    size = len(key) + len(value) + 3
    length = size + len(str(size + len(str(size))))
    return f"{length} {key}={value}\n".encode()


FILE = header("train/1.png", 0)
LARGE = 10**18
HOSTILE = {
    "a PAX header of 10^18 bytes": header("x", LARGE, tarfile.XHDTYPE),
    "a global PAX header of 10^18 bytes": header("x", LARGE, tarfile.XGLTYPE),
    "a GNU name of 10^18 bytes": header("x", LARGE, tarfile.GNUTYPE_LONGNAME),
    "a GNU link of 10^18 bytes": header("x", LARGE, tarfile.GNUTYPE_LONGLINK),
    "a member of 10^18 bytes": header("train/1.png", LARGE),
    "an unknown type of 10^18 bytes": header("train/1.png", LARGE, b"Q"),
    "a member of -1 byte": header("train/1.png", -1),
    "a header of -10^9 bytes": header("x", -(10**9), tarfile.XHDTYPE),
    "a PAX size of 10^18": pax(record("size", str(LARGE))) + FILE,
    "a PAX size of -5": pax(record("size", "-5")) + FILE,
    "a PAX size with 5000 digits": pax(record("size", "9" * 5000)) + FILE,
    "a PAX size that is a word": pax(record("size", "large")) + FILE,
    "a PAX record longer than its header": pax(b"999999 path=a\n") + FILE,
    "a PAX record of 0 bytes": pax(b"0 path=a\n") + FILE,
    "a PAX record without a length": pax(b"path=a\n") + FILE,
    "a PAX record with a length of 4000 digits": pax(b"1" * 4000 + b" path=a\n") + FILE,
    "a sparse member": header("train/1.png", 0, tarfile.GNUTYPE_SPARSE),
    "PAX sparse 0.0": pax(record("GNU.sparse.size", str(LARGE))) + FILE,
    "PAX sparse 1.0": pax(
        record("GNU.sparse.major", "1")
        + record("GNU.sparse.minor", "0")
        + record("GNU.sparse.realsize", str(LARGE))
    )
    + FILE,
    "PAX headers without a member": pax(record("path", "a")) * 3000,
    "only zeros": bytes(10_240),
    "half a header": FILE[:300],
    "no checksum": FILE[:148] + bytes(8) + FILE[156:],
    "not a tar archive": b"MNIST" * 1000,
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_claim_is_refused_before_anything_is_read(tmp_path, content):
    (tmp_path / "train.tar.gz").write_bytes(gzip.compress(content))
    check_refused(tmp_path / "train.tar.gz", "fetch or make it again")


@pytest.mark.parametrize("place", ["in a member", "in a header", "after the end"])
def test_an_archive_that_unpacks_to_far_more_than_its_size(tmp_path, place, monkeypatch):
    monkeypatch.setattr(tar_stream, "_MOST_FREE", 1 << 20)
    zeros = bytes(4 << 20)
    content = {
        "in a member": header("train/1.png", len(zeros)) + zeros,
        "in a header": (header("x", 1 << 20, tarfile.XHDTYPE) + bytes(1 << 20)) * 4,
        "after the end": FILE + zeros,
    }[place]
    (tmp_path / "train.tar.gz").write_bytes(gzip.compress(content))
    check_refused(tmp_path / "train.tar.gz", "unpacks to over .* bytes, far more than its size")


def test_a_picture_that_is_too_large_is_refused(tmp_path, mat):
    tar(tmp_path / "x.tar.gz", {"train/digitStruct.mat": mat, "train/1.png": bytes((1 << 26) + 1)})
    check_refused(tmp_path / "x.tar.gz", r"a member of 67108865 bytes \(train/1.png\), too large")


def test_names_cannot_control_the_terminal(tmp_path, mat):
    tar(tmp_path / "x.tar.gz", {"../\x1b[2J\n1.png": b"", "digitStruct.mat": mat})
    check_refused(tmp_path / "x.tar.gz", r"\(\.\./\\x1b\[2J\\n1\.png\)")
