"""The sandbox: bubblewrap around a Python that sees the course without its answers, and nothing else of this machine."""

import functools
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from .._course import INSIDE, PACKAGE
from . import system_calls

HERE = PACKAGE / "grading"
WRITABLE = 64 << 20  # bytes in the only place where a student's code can write, and in shared memory


@functools.cache
def problem() -> str | None:
    """Why nothing can be run in a sandbox on this machine, and what to do about it; None if all is well."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return (
            "bubblewrap is not installed, and without it a student's code could read and change whatever you can. On Debian "
            "or Ubuntu: sudo apt-get install bubblewrap. It needs Linux: on Windows, use WSL."
        )
    if not system_calls.is_known():
        known = ", ".join(system_calls.MACHINES)
        return f"the sandbox knows the system calls of {known}, and this machine is {platform.machine()!r}."
    calls = system_calls.open_filter()
    trial = [bwrap, *_isolation(), "--seccomp", str(calls), "--ro-bind", "/", "/", "true"]
    tried = subprocess.run(trial, capture_output=True, text=True, check=False, pass_fds=(calls,))
    os.close(calls)
    if tried.returncode == 0:
        return None
    return (
        f"bubblewrap cannot make a sandbox here ({tried.stderr.strip()}). On Ubuntu 24.04 and later, AppArmor forbids user "
        "namespaces: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0 allows them until the next start. In a "
        "container, start it with --security-opt seccomp=unconfined, or grade outside of it."
    )


def command(channel: int, calls: int) -> list[str]:
    """The command that runs the worker in a sandbox; it writes its events to the file descriptor ``channel``.

    ``calls``: the file descriptor of ``system_calls.open_filter``.
    """
    hidden = [PACKAGE / "checks", HERE, *([INSIDE] if INSIDE.is_dir() else [])]  # the lessons' texts hold solutions
    shown = {
        HERE / "stand_in.py": PACKAGE / "checks" / "__init__.py",
        PACKAGE / "checks" / "verdict.py": PACKAGE / "checks" / "verdict.py",
        PACKAGE / "checks" / "observers.py": PACKAGE / "checks" / "observers.py",
        HERE / "wire.py": HERE / "wire.py",
        HERE / "worker.py": HERE / "worker.py",
    }
    places = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "lib", "lib32", "lib64", "sbin"):  # links into /usr on most systems, folders on some
        path = Path("/", name)
        if path.is_symlink():
            places += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            places += ["--ro-bind", str(path), str(path)]
    for path in ("/etc/ld.so.cache", "/etc/alternatives"):  # Debian chooses a BLAS by a link in the latter
        places += ["--ro-bind-try", path, path]
    for folder in dict.fromkeys([sys.base_prefix, sys.prefix, str(PACKAGE)]):
        if not folder.startswith("/usr/"):
            places += ["--ro-bind", folder, folder]
    for path in hidden:
        places += ["--tmpfs", str(path)]
    for path, place in shown.items():
        places += ["--ro-bind", str(path), str(place)]
    return [
        *(shutil.which("bwrap") or "bwrap", *_isolation(), "--seccomp", str(calls), *places),
        *("--proc", "/proc", "--dev", "/dev", "--size", str(WRITABLE), "--tmpfs", "/dev/shm"),
        *("--size", str(WRITABLE), "--tmpfs", "/home/student", "--chdir", "/home/student"),
        *(part for path in (*hidden, "/dev", "/") for part in ("--remount-ro", str(path))),
        *worker(channel),
    ]


def worker(channel: int) -> list[str]:
    """The command that runs the worker, without any sandbox around it."""
    start = (
        f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); from attnprune_edu.grading import worker; worker.main()"
    )
    return [sys.executable, "-I", "-c", start, str(channel)]


def environment() -> dict[str, str]:
    """What the worker finds in its environment: nothing of this machine's."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": "/home/student",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        "PIP_NO_INDEX": "1",  # there is no network: `%pip install` is to say so at once
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _isolation() -> list[str]:
    return [
        *("--unshare-all", "--unshare-user", "--disable-userns", "--uid", "65534", "--gid", "65534"),
        *("--cap-drop", "ALL", "--die-with-parent", "--new-session"),
    ]
