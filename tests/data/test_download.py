"""The downloader against a real server on this computer that misbehaves in every way the real ones may."""

import errno
import hashlib
import io
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tarfile
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.error import URLError

import pytest

from attnprune_edu.data import download
from attnprune_edu.data.download import DownloadError, download_cifar10, fetch

BODY = bytes(range(256)) * 400 + b"the end"  # 102,407 bytes in which every misplaced section shows
SHA256 = hashlib.sha256(BODY).hexdigest()
SIZE = len(BODY)


class Site:
    """A web server whose every path follows a script: one behaviour per request, the last one repeated."""

    def __init__(self):
        self.scripts, self.requests, self.served = {}, [], {}
        self.closing = threading.Event()  # ends the waits of stalling behaviours
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.close_connection = True
                script = site.scripts[self.path]
                behave = script.pop(0) if len(script) > 1 else script[0]
                site.requests.append((self.path, self.headers["Range"]))
                with suppress(ConnectionError):  # the client may leave
                    behave(self)

            def send(self, data):
                # Counted before, as the client may be done before the next line here is.
                site.served[self.path] = site.served.get(self.path, 0) + len(data)
                self.wfile.write(data)

            def head(self, status, **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), str(value))
                self.end_headers()

            def offset(self):
                return int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def path(self, name, *script):
        self.scripts[f"/{name}"] = list(script)
        return f"http://127.0.0.1:{self.server.server_port}/{name}"

    def ranges(self, name):
        """The Range header of each request for the path, None where there was none."""
        return [asked for path, asked in self.requests if path == f"/{name}"]

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def good(handler, body=BODY, stop=None, send=None):
    """Serve the file, or the section asked for; only ``stop`` bytes of what was announced, if given."""
    if handler.headers["Range"]:
        start = handler.offset()
        if start >= len(body):
            return handler.head(416, Content_Range=f"bytes */{len(body)}", Content_Length=0)
        section = f"bytes {start}-{len(body) - 1}/{len(body)}"
        handler.head(206, Content_Length=len(body) - start, Content_Range=section)
    else:
        start = 0
        handler.head(200, Content_Length=len(body))
    (send or handler.send)(body[start:][:stop])


def serving(body):
    return lambda handler: good(handler, body)


def cut_after(count):
    """Announce everything, send ``count`` bytes, and close the connection in good order."""
    return lambda handler: good(handler, stop=count)


def reset_after(count):
    """The same, but the connection dies (TCP reset)."""

    def behave(handler):
        good(handler, stop=count)
        time.sleep(0.05)  # a reset overtakes bytes that have not been read
        linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        handler.connection.close()

    return behave


def chunked(handler, stop=None):
    """No Content-Length, but chunks of 10,000 bytes; the final empty chunk is missing if stopped."""
    handler.head(200, Transfer_Encoding="chunked")
    for start in range(0, SIZE, 10_000)[:stop]:
        chunk = BODY[start : start + 10_000]
        handler.send(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
    if stop is None:
        handler.send(b"0\r\n\r\n")


def drip(site, pieces, pause):
    """Serve the file in pieces, with a pause of so many seconds after each."""

    def behave(handler):
        handler.head(200, Content_Length=SIZE)
        for number in range(pieces):
            handler.send(BODY[number * SIZE // pieces : (number + 1) * SIZE // pieces])
            site.closing.wait(pause)

    return behave


def slowly(site, piece, pause, ahead=0):
    """Serve as ``good`` does, but ``piece`` bytes after each pause, apart from so many that go ahead at once."""

    def behave(handler):
        def send(data):
            handler.send(data[:ahead])
            for start in range(ahead, len(data), piece):
                site.closing.wait(pause)
                handler.send(data[start : start + piece])

        good(handler, send=send)

    return behave


def stall_after(site, count):
    """Send some bytes and then nothing, with the connection open."""

    def behave(handler):
        good(handler, stop=count)
        site.closing.wait(10)

    return behave


def without_range(handler, stop=None):
    handler.head(200, Content_Length=SIZE)
    handler.send(BODY[:stop])


def wrong_section(handler):
    """Answer a Range with one that starts seven bytes later than asked."""
    start = handler.offset() + 7
    section = f"bytes {start}-{SIZE - 1}/{SIZE}"
    handler.head(206, Content_Length=SIZE - start, Content_Range=section)
    handler.send(BODY[start:])


def status(code):
    return lambda handler: handler.head(code, Content_Length=0)


def hang_up(handler):
    """Close the connection without any answer."""


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setattr(download, "RETRY_PAUSE", 0.001)
    monkeypatch.setattr(download, "LOCK_PAUSE", 0.01)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("ATTNPRUNE_CIFAR10_URL", raising=False)
    site = Site()
    yield site
    site.close()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "data" / "file.bin"


@pytest.fixture
def part(target):
    target.parent.mkdir()
    return target.with_name("file.bin.part")


def assert_fetched(target):
    """Nothing but the finished file: neither .part nor lock."""
    assert target.read_bytes() == BODY
    if os.name == "posix":  # Windows keeps an empty lock file
        assert [path.name for path in target.parent.iterdir()] == [target.name]


def other_process(code, *arguments):
    """Start Python code that has the module, and the module alone, as ``download``."""
    preamble = (
        "import importlib.util, pathlib, sys\n"
        f"spec = importlib.util.spec_from_file_location('download', {download.__file__!r})\n"
        "download = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(download)\n"
    )
    command = [sys.executable, "-c", preamble + code, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def in_background(function, *arguments, **options):
    thread = threading.Thread(target=function, args=arguments, kwargs=options, daemon=True)
    thread.start()
    return thread


# --- one good source ------------------------------------------------------------------------------


def test_fetches_a_file_in_one_request(site, target):
    url = site.path("good", good)
    assert fetch([url], target, SHA256, progress=False) == target
    assert_fetched(target)
    assert site.ranges("good") == [None]


def test_fetches_from_a_slow_source_that_is_never_silent_for_long(site, target):
    url = site.path("drip", drip(site, pieces=20, pause=0.03))
    fetch([url], target, SHA256, timeout=0.3, progress=False)  # half of what the whole file takes
    assert_fetched(target)
    assert site.ranges("drip") == [None]


def test_fetches_from_a_source_that_does_not_tell_the_size(site, target):
    fetch([site.path("chunks", chunked)], target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges("chunks") == [None]


def test_does_not_wait_for_a_connection_that_stays_open_after_the_last_byte(site, target):
    began = time.monotonic()
    fetch([site.path("open", stall_after(site, SIZE))], target, SHA256, timeout=5, progress=False)
    assert time.monotonic() - began < 2
    assert_fetched(target)
    assert site.ranges("open") == [None]


def test_file_addresses_work_too(tmp_path, target):
    (tmp_path / "original").write_bytes(BODY)
    fetch([(tmp_path / "original").as_uri()], target, SHA256, progress=False)
    assert_fetched(target)


def test_right_target_is_returned_without_any_request(site, target):
    target.parent.mkdir()
    target.write_bytes(BODY)
    assert fetch([site.path("good", good)], target, SHA256, progress=False) == target
    assert site.requests == []


def test_right_target_is_returned_even_if_another_process_holds_the_lock(target):
    target.parent.mkdir()
    target.write_bytes(BODY)
    with download.one_process_at_a_time(target.with_name("file.bin.lock")):
        visitor = in_background(fetch, [], target, SHA256, progress=False)
        visitor.join(5)
        assert not visitor.is_alive()


def test_wrong_target_is_replaced_but_not_before_a_right_one_is_there(site, target):
    target.parent.mkdir()
    target.write_bytes(b"an older edition")
    with pytest.raises(DownloadError, match=r"Run the same command again later\."):
        fetch([site.path("busy", status(503))], target, SHA256, progress=False)
    assert target.read_bytes() == b"an older edition"
    fetch([site.path("good", good)], target, SHA256, progress=False)
    assert_fetched(target)


# --- resuming -------------------------------------------------------------------------------------


def test_resumes_what_an_earlier_run_left(site, target, part):
    part.write_bytes(BODY[:60_000])
    fetch([site.path("good", good)], target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges("good") == ["bytes=60000-"]
    assert site.served["/good"] == SIZE - 60_000


@pytest.mark.parametrize("breaking", [cut_after, reset_after])
def test_resumes_after_the_connection_breaks(site, target, breaking):
    url = site.path("breaks", breaking(30_000), breaking(20_000), good)
    fetch([url], target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges("breaks") == [None, "bytes=30000-", "bytes=50000-"]
    assert site.served["/breaks"] == SIZE


def test_resumes_after_broken_chunks(site, target):
    url = site.path("chunks", lambda handler: chunked(handler, stop=3), good)
    fetch([url], target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges("chunks") == [None, "bytes=30000-"]


def test_a_section_shorter_than_asked_for_is_continued(site, target, part):
    def two_thousand(handler):
        start = handler.offset()
        handler.head(206, Content_Length=2000, Content_Range=f"bytes {start}-{start + 1999}/{SIZE}")
        handler.send(BODY[start : start + 2000])

    part.write_bytes(BODY[:100])
    fetch([site.path("miser", two_thousand, good)], target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges("miser") == ["bytes=100-", "bytes=2100-"]


def test_progress_resets_the_count_of_attempts(site, target):
    url = site.path("breaks", *[cut_after(5_000)] * 8, good)
    fetch([url], target, SHA256, attempts=2, progress=False)
    assert_fetched(target)
    assert len(site.requests) == 9


@pytest.mark.parametrize("attempts", [1, 3])
def test_gives_up_after_so_many_attempts_without_progress(site, target, attempts):
    urls = [site.path("dead", cut_after(0)), site.path("good", good)]
    fetch(urls, target, SHA256, attempts=attempts, progress=False)
    assert_fetched(target)
    assert len(site.ranges("dead")) == attempts


def test_a_source_without_range_that_breaks_each_time_does_not_go_on_for_ever(site, target):
    def broken(handler):
        without_range(handler, stop=40_000)

    urls = [site.path("broken", broken), site.path("good", good)]
    fetch(urls, target, SHA256, attempts=3, progress=False)
    assert_fetched(target)
    assert len(site.ranges("broken")) == 4  # one that brought something, three that brought nothing new
    assert site.ranges("good") == ["bytes=40000-"]


def test_a_source_that_ignores_range_starts_over(site, target, part):
    part.write_bytes(BODY[:60_000])
    fetch([site.path("plain", without_range)], target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges("plain") == ["bytes=60000-"]
    assert site.served["/plain"] == SIZE


@pytest.mark.parametrize("behaviour", [wrong_section, status(206)], ids=["wrong", "place not told"])
def test_a_section_that_does_not_continue_the_part_is_refused(site, target, part, behaviour):
    part.write_bytes(BODY[:60_000])
    url = site.path("wrong", behaviour, good)
    with pytest.raises(DownloadError, match="it sent another section of the file than it was asked for"):
        fetch([url], target, SHA256, attempts=1, progress=False)
    fetch([url], target, SHA256, attempts=1, progress=False)
    assert_fetched(target)
    assert site.ranges("wrong") == ["bytes=60000-", None]


def test_a_complete_part_needs_no_bytes(site, target, part):
    part.write_bytes(BODY)
    fetch([site.path("good", good)], target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges("good") == [f"bytes={SIZE}-"]
    assert "/good" not in site.served


def test_a_part_beyond_the_files_end_is_discarded(site, target, part):
    part.write_bytes(BODY + b"and more")
    fetch([site.path("good", good)], target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges("good") == [f"bytes={SIZE + 8}-", None]


def test_a_wrong_part_costs_a_second_request_but_not_the_source(site, target, part):
    part.write_bytes(bytes(60_000))
    fetch([site.path("good", good)], target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges("good") == ["bytes=60000-", None]


def test_ctrl_c_keeps_the_part_and_releases_the_lock(site, target, monkeypatch):
    class Bar(download.tqdm):
        def update(self, count=1):
            raise KeyboardInterrupt

    url = site.path("good", cut_after(50_000), good)
    with monkeypatch.context() as patch:
        patch.setattr(download, "tqdm", Bar)
        with pytest.raises(KeyboardInterrupt):
            fetch([url], target, SHA256, progress=False)
    kept = target.with_name("file.bin.part").stat().st_size
    assert 0 < kept <= 50_000
    assert not target.exists()
    assert not target.with_name("file.bin.lock").exists() or os.name == "nt"
    fetch([url], target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges("good") == [None, f"bytes={kept}-"]


def test_ctrl_c_while_the_checksum_is_computed_keeps_the_part(site, target, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    url = site.path("good", good)
    with monkeypatch.context() as patch:
        patch.setattr(download, "hash_matches", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch([url], target, SHA256, progress=False)
    assert target.with_name("file.bin.part").read_bytes() == BODY and not target.exists()
    fetch([url], target, SHA256, progress=False)
    assert_fetched(target)
    assert site.served["/good"] == SIZE


# --- several sources ------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [404, 503, 416])
def test_an_error_answer_leads_to_the_next_source_at_once(site, target, code):
    fetch([site.path("bad", status(code)), site.path("good", good)], target, SHA256, progress=False)
    assert_fetched(target)
    assert site.requests == [("/bad", None), ("/good", None)]


def test_the_next_source_continues_what_the_first_began(site, target):
    urls = [site.path("first", cut_after(70_000), status(503)), site.path("second", good)]
    fetch(urls, target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges("first") == [None, "bytes=70000-"]
    assert site.ranges("second") == ["bytes=70000-"]
    assert site.served == {"/first": 70_000, "/second": SIZE - 70_000}


def test_wrong_bytes_are_thrown_away_and_the_next_source_begins_at_zero(site, target):
    urls = [site.path("wrong", serving(BODY[::-1])), site.path("good", good)]
    fetch(urls, target, SHA256, progress=False)
    assert_fetched(target)
    assert site.requests == [("/wrong", None), ("/good", None)]


def test_a_good_source_recovers_from_what_a_bad_one_left(site, target):
    def bad(handler):
        good(handler, body=bytes(SIZE), stop=50_000)

    urls = [site.path("bad", bad, status(503)), site.path("good", good)]
    fetch(urls, target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges("good") == ["bytes=50000-", None]


def test_a_silent_source_is_left_after_the_timeout(site, target):
    def silent(handler):
        site.closing.wait(10)

    began = time.monotonic()
    urls = [site.path("silent", silent), site.path("good", good)]
    fetch(urls, target, SHA256, timeout=0.2, progress=False)
    assert 0.2 <= time.monotonic() - began < 2
    assert_fetched(target)
    assert site.ranges("silent") == [None]


def test_a_source_that_stalls_keeps_what_it_sent(site, target):
    urls = [site.path("stall", stall_after(site, 45_678), stall_after(site, 0)), site.path("good", good)]
    fetch(urls, target, SHA256, timeout=0.2, attempts=1, progress=False)
    assert_fetched(target)
    assert site.ranges("stall") == [None, "bytes=45678-"]
    assert site.ranges("good") == ["bytes=45678-"]


def test_when_all_fail_the_message_tells_why_and_what_to_do(site, target):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed_port = unused.getsockname()[1]
    cut = site.path("cut", cut_after(1500), cut_after(0))
    silence = "it stayed silent for too long (timeout)"
    refusal = silence if os.name == "nt" else "the connection was refused"  # Windows knocks for two seconds
    reasons = {
        site.path("wrong", serving(b"a login page")): "it sent a different file (wrong checksum)",
        site.path("busy", status(503)): "the server answered 503 Service Unavailable",
        site.path("gone", status(404)): "the server answered 404 Not Found",
        f"http://127.0.0.1:{closed_port}/closed": refusal,
        cut: "the connection was cut after 1,500 of 102,407 bytes",
        site.path("silent", lambda _: site.closing.wait(10)): silence,
        site.path("rude", hang_up): "the connection broke (Remote end closed connection without response)",
        "not an address": "this is not a web address",
    }
    with pytest.raises(DownloadError) as caught:
        fetch(list(reasons), target, SHA256, timeout=0.2, progress=False)
    part = target.with_name("file.bin.part")
    assert str(caught.value).splitlines() == [
        "Could not download file.bin, all sources failed:",
        *(f"  {url}: {reason}" for url, reason in reasons.items()),
        f"1.50kB are kept in {part}: run the same command again to resume",
    ]
    assert isinstance(caught.value, OSError)
    assert part.read_bytes() == BODY[:1500]
    assert not target.exists()
    fetch([site.path("good", good)], target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges("good") == ["bytes=1500-"]


def test_reasons_that_no_local_server_can_give():
    unknown_name = URLError(socket.gaierror(-2, "Name or service not known"))
    assert "its name was not found" in download._in_words(unknown_name)
    no_certificate = URLError(ssl.SSLCertVerificationError("self-signed certificate"))
    assert "Install Certificates.command" in download._in_words(no_certificate)


def test_a_full_disk_is_not_blamed_on_the_source(site, target, part, monkeypatch):
    class FullDisk(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    def open_on_full_disk(path, mode, real_open=open):
        return FullDisk() if path == part else real_open(path, mode)

    monkeypatch.setattr(download, "open", open_on_full_disk, raising=False)
    with pytest.raises(OSError, match="No space left") as caught:
        fetch([site.path("good", good)] * 2, target, SHA256, progress=False)
    assert not isinstance(caught.value, DownloadError)
    assert len(site.requests) == 1


# --- slow sources ---------------------------------------------------------------------------------


def judge_speed(monkeypatch, rate, seconds):
    monkeypatch.setattr(download, "SLOW_RATE", rate)
    monkeypatch.setattr(download, "SLOW_SECONDS", seconds)


def first_byte(asked):
    return int(asked.removeprefix("bytes=").removesuffix("-"))


def test_a_slow_source_is_left_and_the_next_goes_on_at_the_same_byte(site, target, monkeypatch, capsys):
    judge_speed(monkeypatch, rate=200_000, seconds=0.2)
    urls = [site.path("slow", slowly(site, piece=400, pause=0.02)), site.path("fast", good)]
    fetch(urls, target, SHA256)
    assert_fetched(target)
    assert site.ranges("slow") == [None]
    (asked,) = site.ranges("fast")
    assert 400 <= first_byte(asked) <= 20_000  # 4,000, unless this computer is busy
    assert site.served["/fast"] == SIZE - first_byte(asked)
    assert re.search(rf"{urls[0]}: only \d+ kB/s over 0\.2 s\n", capsys.readouterr().err)


def test_when_every_source_is_slow_the_fastest_completes_the_file(site, target, monkeypatch):
    judge_speed(monkeypatch, rate=1_000_000, seconds=0.1)
    urls = [
        site.path("slow", slowly(site, piece=200, pause=0.02)),
        site.path("faster", slowly(site, piece=5_000, pause=0.02)),
        site.path("gone", status(404)),
        site.path("slowest", slowly(site, piece=100, pause=0.02)),
    ]
    fetch(urls, target, SHA256, progress=False)
    assert_fetched(target)
    assert [path for path, _ in site.requests] == ["/slow", "/faster", "/gone", "/slowest", "/faster"]
    starts = [first_byte(asked) for _, asked in site.requests[1:]]
    assert starts == sorted(starts)
    assert starts[-1] < SIZE - 20_000  # so that the last source stayed slow for a while, and was let be


def test_a_single_slow_source_completes_the_file(site, target, monkeypatch):
    judge_speed(monkeypatch, rate=1_000_000, seconds=0.05)
    fetch([site.path("slow", slowly(site, piece=5_000, pause=0.02))], target, SHA256, progress=False)
    assert_fetched(target)
    assert len(site.ranges("slow")) == 2


def test_a_source_that_is_slow_only_at_the_start_is_kept(site, target, monkeypatch):
    judge_speed(monkeypatch, rate=50_000, seconds=0.3)

    def behave(handler):
        handler.head(200, Content_Length=SIZE)
        site.closing.wait(0.2)
        for section in (slice(100), slice(100, 90_000), slice(90_000, 90_100), slice(90_100, SIZE)):
            handler.send(BODY[section])
            site.closing.wait(0.1)  # the third section ends the 0.3 s, the fourth needs a source that is still trusted

    fetch([site.path("late", behave), site.path("other", good)], target, SHA256, progress=False)
    assert_fetched(target)
    assert site.requests == [("/late", None)]


def test_a_fast_start_does_not_excuse_what_follows(site, target, monkeypatch):
    judge_speed(monkeypatch, rate=50_000, seconds=0.2)
    urls = [site.path("tires", slowly(site, piece=200, pause=0.02, ahead=50_000)), site.path("other", good)]
    fetch(urls, target, SHA256, progress=False)
    assert_fetched(target)
    (asked,) = site.ranges("other")
    assert 50_000 < first_byte(asked) < 60_000


def test_a_slow_source_cannot_hide_behind_broken_connections(site, target, monkeypatch):
    judge_speed(monkeypatch, rate=200_000, seconds=0.2)

    def breaks(handler):
        good(handler, send=lambda data: (site.closing.wait(0.05), handler.send(data[:500])))

    fetch([site.path("breaks", breaks), site.path("other", good)], target, SHA256, progress=False)
    assert_fetched(target)
    (asked,) = site.ranges("other")
    assert 500 <= first_byte(asked) <= 20_000


def test_the_time_that_writing_takes_is_not_held_against_the_source(site, target, part, monkeypatch):
    judge_speed(monkeypatch, rate=200_000, seconds=0.2)

    class SlowDisk(io.FileIO):
        def write(self, data):
            time.sleep(0.1)
            return super().write(data)

    def open_on_slow_disk(path, mode, real_open=open):
        return SlowDisk(path, mode) if path == part else real_open(path, mode)

    monkeypatch.setattr(download, "open", open_on_slow_disk, raising=False)
    monkeypatch.setattr(download, "BLOCK_BYTES", 10_000)
    fetch([site.path("good", good)], target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges("good") == [None]


# --- what the user sees ---------------------------------------------------------------------------


def test_the_bar_shows_the_source_and_begins_where_the_part_ends(site, target, part, monkeypatch):
    bars = []

    class Bar(download.tqdm):
        def __init__(self, **options):
            super().__init__(**options, file=io.StringIO())
            bars.append(self)

    monkeypatch.setattr(download, "tqdm", Bar)
    part.write_bytes(BODY[:60_000])
    fetch([site.path("good", good)], target, SHA256)
    (bar,) = bars
    assert (bar.initial, bar.total, bar.n) == (60_000, SIZE, SIZE)
    assert (bar.unit, bar.unit_scale) == ("B", True)
    assert bar.desc.startswith("127.0.0.1")


def test_a_failing_source_is_reported_as_it_happens_unless_silence_is_wanted(site, tmp_path, capsys):
    urls = [site.path("busy", status(503)), site.path("good", good)]
    fetch(urls, tmp_path / "one", SHA256)
    assert f"{urls[0]}: the server answered 503" in capsys.readouterr().err
    fetch(urls, tmp_path / "two", SHA256, progress=False)
    assert capsys.readouterr() == ("", "")


def test_a_process_that_wants_silence_hears_nothing_from_the_libraries_either(site, target):
    code = "download.fetch([sys.argv[1]], pathlib.Path(sys.argv[2]), sys.argv[3], progress=False)"
    assert other_process(code, site.path("good", good), target, SHA256).communicate(timeout=20) == ("", "")
    assert_fetched(target)


def test_the_module_starts_without_torch():
    process = other_process("print('torch' in sys.modules, 'torchvision' in sys.modules)")
    output, errors = process.communicate(timeout=20)
    assert output.split() == ["False", "False"], errors


# --- several processes ----------------------------------------------------------------------------


def test_two_processes_download_once(site, target):
    url = site.path("drip", drip(site, pieces=20, pause=0.02))
    code = "print(download.fetch([sys.argv[1]], pathlib.Path(sys.argv[2]), sys.argv[3], progress=False))"
    processes = [other_process(code, url, target, SHA256) for _ in range(2)]
    for process in processes:
        output, errors = process.communicate(timeout=20)
        assert output.strip() == str(target), errors
    assert_fetched(target)
    assert site.served["/drip"] == SIZE


def test_a_held_lock_is_waited_for_and_that_of_a_killed_process_is_taken_over(site, target, capsys):
    target.parent.mkdir()
    lock = target.with_name("file.bin.lock")
    code = (
        "with download.one_process_at_a_time(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    holder = other_process(code, lock)
    assert holder.stdout.readline() == "held\n"
    url = site.path("good", good)
    waiting = in_background(fetch, [url], target, SHA256, progress=False)
    waiting.join(0.3)
    assert waiting.is_alive()
    assert lock.exists()
    assert site.requests == []
    assert f"Waiting for another process, which holds {lock}" in capsys.readouterr().err
    holder.kill()
    holder.communicate()
    waiting.join(5)
    assert not waiting.is_alive()
    assert_fetched(target)


def test_a_left_over_lock_file_blocks_nobody(site, target, part):
    target.with_name("file.bin.lock").write_text("12345")
    fetch([site.path("good", good)], target, SHA256, progress=False)
    assert_fetched(target)


def test_a_drive_that_knows_no_locks_can_be_used(site, target, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", no_locks)
    fetch([site.path("good", good)], target, SHA256, progress=False)
    assert_fetched(target)


def test_locks_exclude_each_other_although_the_file_comes_and_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "LOCK_PAUSE", 0.0001)
    inside, overlaps = [], []

    def enter():
        for _ in range(20):
            with download.one_process_at_a_time(tmp_path / "lock"):
                inside.append(1)
                overlaps.append(len(inside))
                time.sleep(0.0005)
                inside.pop()

    for thread in [in_background(enter) for _ in range(4)]:
        thread.join(10)
    assert overlaps == [1] * 80


# --- CIFAR-10 -------------------------------------------------------------------------------------

MEMBERS = {name: os.urandom(5_000) for name in ("data_batch_1", "test_batch", "batches.meta")}


def archive_of(members, prefix="cifar-10-batches-py/"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return file.getvalue()


ARCHIVE = archive_of(MEMBERS)


def get_cifar10(site, folder, archive=ARCHIVE):
    url = site.path("cifar", serving(archive))
    sha256 = hashlib.sha256(archive).hexdigest()
    return download_cifar10(folder, urls=[url], sha256=sha256, progress=False)


def assert_unpacked(folder):
    batches = folder / "cifar-10-batches-py"
    assert {path.name: path.read_bytes() for path in batches.iterdir()} == MEMBERS
    if os.name == "posix":
        assert list(folder.iterdir()) == [batches]


@pytest.mark.parametrize("has_filters", [True, False], ids=["filters", "Python before 3.10.12"])
def test_cifar10_is_unpacked_once_and_the_archive_removed(site, tmp_path, monkeypatch, has_filters):
    if not has_filters:
        original = tarfile.TarFile.extractall
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
        monkeypatch.setattr(tarfile.TarFile, "extraction_filter", staticmethod(lambda member, _: member), raising=False)
        monkeypatch.setattr(tarfile.TarFile, "extractall", lambda tar, path: original(tar, path))
    folder = tmp_path / "new" / "folder"
    assert get_cifar10(site, folder) == folder / "cifar-10-batches-py"
    assert_unpacked(folder)
    get_cifar10(site, folder)
    assert len(site.requests) == 1


def test_cifar10_from_the_schools_own_mirror_first(site, tmp_path, monkeypatch):
    monkeypatch.setenv("ATTNPRUNE_CIFAR10_URL", site.path("school", serving(ARCHIVE)))
    get_cifar10(site, tmp_path)
    assert_unpacked(tmp_path)
    assert site.requests == [("/school", None)]


def test_cifar10_falls_back_to_the_other_sources(site, tmp_path, monkeypatch):
    monkeypatch.setenv("ATTNPRUNE_CIFAR10_URL", site.path("school", status(404)))
    get_cifar10(site, tmp_path)
    assert_unpacked(tmp_path)
    assert site.requests == [("/school", None), ("/cifar", None)]


@pytest.mark.parametrize(
    "archive",
    [ARCHIVE[: len(ARCHIVE) // 2], ARCHIVE[:-2000], b"no archive", archive_of(MEMBERS, prefix="elsewhere/")],
    ids=["half", "end missing", "no archive", "another folder"],
)
def test_cifar10_from_a_damaged_archive_never_becomes_the_folder(site, tmp_path, archive):
    with pytest.raises(DownloadError, match="cannot be unpacked"):
        get_cifar10(site, tmp_path, archive)
    assert len(site.requests) == 1
    assert [path.name for path in tmp_path.glob("cifar-10-batches-py*")] == []
    get_cifar10(site, tmp_path)
    assert_unpacked(tmp_path)


def test_cifar10_archive_cannot_write_outside_its_folder(site, tmp_path):
    with pytest.raises(DownloadError, match="cannot be unpacked"):
        get_cifar10(site, tmp_path / "data", archive_of(MEMBERS, prefix="../../"))
    assert not (tmp_path / "test_batch").exists()


def test_cifar10_after_a_run_that_was_killed_while_unpacking(site, tmp_path):
    unpacking = tmp_path / "cifar-10-batches-py.unpacking" / "cifar-10-batches-py"
    unpacking.mkdir(parents=True)
    (unpacking / "data_batch_5").write_bytes(b"half of it")
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(ARCHIVE)
    get_cifar10(site, tmp_path)
    assert_unpacked(tmp_path)
    assert site.requests == []


def test_cifar10_interrupted_while_unpacking(site, tmp_path, monkeypatch):
    def interrupted(tar, path, **_):
        (path / "cifar-10-batches-py").mkdir(parents=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "extractall", interrupted)
        with pytest.raises(KeyboardInterrupt):
            get_cifar10(site, tmp_path)
    assert list(tmp_path.glob("cifar-10-batches-py*")) == []
    get_cifar10(site, tmp_path)
    assert_unpacked(tmp_path)
    assert len(site.requests) == 1


def test_cifar10_that_another_process_unpacks_meanwhile_is_not_downloaded_again(site, tmp_path):
    with download.one_process_at_a_time(tmp_path / "cifar-10-batches-py.lock"):
        waiting = in_background(get_cifar10, site, tmp_path)
        waiting.join(0.1)
        assert waiting.is_alive()
        (tmp_path / "cifar-10-batches-py").mkdir()
    waiting.join(5)
    assert not waiting.is_alive()
    assert site.requests == []


def test_cifar10_that_is_there_is_returned_although_a_lock_is_held(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    with download.one_process_at_a_time(tmp_path / "cifar-10-batches-py.lock"):
        visitor = in_background(download_cifar10, tmp_path, urls=[])
        visitor.join(5)
        assert not visitor.is_alive()


def test_cifar10_asks_for_room_before_it_downloads(site, tmp_path, monkeypatch):
    def room(megabytes):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=megabytes * 10**6))

    room(380)
    with pytest.raises(DownloadError, match=r"needs 392 MB of free disk space, but .* has only 380 MB"):
        get_cifar10(site, tmp_path)
    assert site.requests == []
    with open(tmp_path / "cifar-10-python.tar.gz.part", "wb") as file:
        file.truncate(20_000_000)  # what has been downloaded needs no room any more
    get_cifar10(site, tmp_path)
    assert_unpacked(tmp_path)
