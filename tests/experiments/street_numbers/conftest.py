import socket

import pytest

from tests.experiments.street_numbers.archives import fields, matlab_file, plain, write_archives


@pytest.fixture
def offline(monkeypatch):
    """Blocks the resolution of names and all connections except those to this machine."""
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def connect_here(self, address):
        if address[0] != "127.0.0.1":
            raise OSError("Network is unreachable")
        return connect(self, address)

    def resolve_here(host, *rest, **options):
        if host != "127.0.0.1":
            raise OSError("Name or service not known")
        return resolve(host, *rest, **options)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    monkeypatch.setattr(socket, "getaddrinfo", resolve_here)


@pytest.fixture(scope="session")
def archives(tmp_path_factory):
    return write_archives(tmp_path_factory.mktemp("archives"), train=plain(12), test=plain(5, 100))


@pytest.fixture
def mat(tmp_path):
    """Returns the bytes of a digitStruct.mat of three pictures."""
    matlab_file(
        tmp_path / "mat",
        [
            ("1.png", fields((1, 2, 3, 4, 10))),
            ("2.png", fields((5.5, 6, 7, 8, 9), (-1, 0, 2, 3, 1))),
            ("3.png", {}),
        ],
    )
    return (tmp_path / "mat").read_bytes()
