"""Tests of what is let through to the page, with plain requests to a real server."""

import http.client
import socket

import pytest

from stn_jax.errors import UserError

pytest.importorskip("gradio", reason="gradio is not installed")

from stn_jax.experiments.demo.server import MAX_UPLOAD_MEGABYTES, listen, serving

MEGABYTE = 1_000_000
SIZES: list[int] = []  # of the bodies that the app has got


async def count_bytes(scope, receive, send):
    """Answers a request with the number of bytes in its body; an app for `serving`."""
    if scope["type"] == "lifespan":
        return
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    SIZES.append(size)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


@pytest.fixture(scope="module", params=["127.0.0.1", "0.0.0.0"])
def server(request):
    """Returns the host that the user has named, and the port."""
    with socket.create_server((request.param, 0)) as listener:
        port = listener.getsockname()[1]
        with serving(count_bytes, listener, request.param):
            yield request.param, port


def answer(port, *, method="GET", body=None, **headers):
    """Returns the status and the text; in names of headers, _ stands for -."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        chosen = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, "/", body, chosen, encode_chunked=not isinstance(body, bytes))
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(
    "host", ["localhost:{}", "127.0.0.1:{}", "[::1]:{}", "127.9.9.9", "LOCALHOST"]
)
def test_this_machine_may_ask_by_any_of_its_names(server, host):
    assert answer(server[1], Host=host.format(server[1]))[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[", "10.0.0.1"],
)
def test_a_foreign_name_is_refused_unless_the_page_is_for_other_machines(server, host):
    name, port = server
    assert answer(port, Host=host)[0] == (403 if name == "127.0.0.1" else 200)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "http://127.0.0.1", "http://localhost:1"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_another_page_is_refused(server, origin, method):
    status, said = answer(server[1], method=method, Origin=origin)
    assert status == 403
    assert said.count("\n") == 1


def test_the_page_itself_is_let_through(server):
    host = f"localhost:{server[1]}"
    assert answer(server[1], Host=host, Origin=f"http://{host}")[0] == 200


def chunks(megabytes):
    return (bytes(MEGABYTE) for _ in range(megabytes))


def test_a_body_that_is_not_too_large_arrives(server):
    size = MAX_UPLOAD_MEGABYTES * MEGABYTE
    assert answer(server[1], method="POST", body=bytes(size)) == (200, str(size))
    assert answer(server[1], method="POST", body=chunks(MAX_UPLOAD_MEGABYTES)) == (200, str(size))


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(server):
    status, said = answer(server[1], method="POST", Content_Length=str(10**12))
    assert status == 413
    assert "6,000,000 bytes" in said


def test_a_body_of_unknown_length_is_read_up_to_the_limit(server):
    with socket.create_connection(("127.0.0.1", server[1])) as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for chunk in chunks(MAX_UPLOAD_MEGABYTES + 1):
            connection.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        connection.sendall(b"1\r\nx\r\n")  # and the last chunk never comes
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_a_body_that_stays_incomplete_does_not_arrive(server):
    with socket.create_connection(("127.0.0.1", server[1])) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 77777\r\n\r\n")
        connection.sendall(bytes(12345))
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    assert answer(server[1], method="POST", body=bytes(54321)) == (200, "54321")
    assert 12345 not in SIZES


def test_a_port_that_is_in_use_gets_one_clear_line():
    message = r"in use\): choose another --port or another --host"
    with listen("127.0.0.1", 0) as listener, pytest.raises(UserError, match=message):
        listen("127.0.0.1", listener.getsockname()[1])


def test_an_unknown_host_gets_one_clear_line(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UserError, match=r"cannot serve on no-such-host:1: choose another --host"):
        listen("no-such-host", 1)
