"""Any server's metrics endpoint: read when it is sound, an error when it is not."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from proofload.errors import TargetError
from proofload.probes import Subject, prometheus
from proofload.probes.prometheus import PrometheusProbe, summed

TEXT = """\
# HELP http_requests_total All of them.
# TYPE http_requests_total counter
http_requests_total{code="200",path="/a b\\"}"} 10
http_requests_total{code="500"} 2.5
# TYPE depth gauge
depth{queue="a"} 3
depth{queue="b"} 4 1700000000000
# TYPE seconds histogram
seconds_bucket{le="0.1"} 1
seconds_bucket{le="+Inf"} 2
seconds_sum 1.5
seconds_count 2
# TYPE size summary
size{quantile="0.5"} 7
size_sum 30
size_count 4
# TYPE http_requests_created gauge
http_requests_created 1.7e9
bare_value 1
ratio{x="1"} NaN
ratio{x="2"} 5
far +Inf
"""


def test_series_are_summed_over_their_labels_and_details_left_out() -> None:
    assert summed(TEXT) == {
        "http_requests_total": 12.5,
        "depth": 7,
        "seconds_sum": 1.5,
        "seconds_count": 2,
        "size_sum": 30,
        "size_count": 4,
        "bare_value": 1,
    }


def test_openmetrics_is_read_too() -> None:
    text = '# TYPE hits counter\nhits_total{a="1"} 3\nhits_total{a="2"} 4\n# EOF\n'
    assert summed(text, is_openmetrics=True) == {"hits_total": 7}
    with pytest.raises(ValueError, match="EOF"):
        summed(text.replace("# EOF\n", ""), is_openmetrics=True)


@pytest.mark.parametrize("text", ["<html>", "a{b 1\n", "a b\n", "{}\n", "a{b=\n", '{"json": 1}', "\x00\x01"])
def test_broken_text_is_an_error(text: str) -> None:
    with pytest.raises((ValueError, IndexError, KeyError, TypeError)):
        summed(text)


def test_too_many_series_are_an_error_and_too_many_names_are_bounded() -> None:
    with pytest.raises(ValueError, match="series"):
        summed("".join(f'a{{n="{n}"}} 1\n' for n in range(prometheus.MAX_SERIES + 1)))
    assert len(summed("".join(f"a{n} 1\n" for n in range(prometheus.MAX_NAMES + 9)))) == prometheus.MAX_NAMES


@contextlib.contextmanager
def server(behave: Callable[[socket.socket], None]) -> Iterator[PrometheusProbe]:
    """Accepts one connection at a time, reads a request and lets `behave` answer it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(65536)
                    behave(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    probe = PrometheusProbe(Subject(0, metrics_url=f"http://127.0.0.1:{listener.getsockname()[1]}/metrics"))
    try:
        yield probe
    finally:
        probe.close()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def answer(connection: socket.socket, body: bytes, status: str = "200 OK", kind: str = "text/plain") -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    connection.sendall(head.encode() + body)


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    while True:
        connection.sendall(b'a{b="c"} 1\n' * 1000)


def dripping(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    tick = threading.Event()
    while True:
        connection.sendall(b"a 1\n")
        tick.wait(0.05)


def silent(connection: socket.socket) -> None:
    connection.recv(1)


@pytest.mark.real
@pytest.mark.parametrize(
    ("behave", "evidence"),
    [
        (lambda c: answer(c, b"", "503 Service Unavailable"), "503"),
        (lambda c: answer(c, b"<html>hello</html>"), "<html>"),
        (lambda c: answer(c, b"a 1\n", kind="application/openmetrics-text; version=1.0.0"), "EOF"),
        (lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Le"), "Protocol"),
        (lambda c: c.sendall(b"garbage\r\n\r\n"), "Protocol"),
        (endless, f"longer than {prometheus.MAX_BYTES} bytes"),
    ],
    ids=["status", "html", "cut-openmetrics", "half-a-header", "garbage", "endless"],
)
def test_a_bad_endpoint_is_an_error_with_evidence_and_never_a_value(
    behave: Callable[[socket.socket], None], evidence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus, "TIMEOUT_S", 60.0)  # none of these takes its time
    with server(behave) as probe:
        with pytest.raises(TargetError) as caught:
            probe.read()
        assert evidence in caught.value.evidence


@pytest.mark.real
@pytest.mark.parametrize(("behave", "evidence"), [(dripping, "took longer than"), (silent, "Timeout")])
def test_an_endpoint_that_keeps_its_reader_waiting_is_an_error(
    behave: Callable[[socket.socket], None], evidence: str
) -> None:
    with server(behave) as probe:
        with pytest.raises(TargetError) as caught:
            probe.read()
        assert evidence in caught.value.evidence


@pytest.mark.real
def test_a_good_endpoint_is_read_again_after_a_bad_moment() -> None:
    answers = iter(["500 Internal Server Error", "200 OK"])
    with server(lambda c: answer(c, TEXT.encode(), next(answers))) as probe:
        with pytest.raises(TargetError):
            probe.read()
        readings = {reading.name: reading.value for reading in probe.read()}
        assert readings["http_requests_total"] == 12.5
