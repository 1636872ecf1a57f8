"""``attnprune-edu doctor``: is this machine ready for the course, and if not, what is to be done?"""

import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from packaging.requirements import Requirement
from packaging.version import Version

from . import _limits, workbook
from .data import digits, faces, images, xrays
from .grading import sandbox
from .networks import inference
from .report import checkpoints

PACKAGE = "attnprune-edu"
NEEDED_MEMORY_GB = 2.0  # what Binder gives; the lessons are written to fit


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is in order, what was found, and what to do if it is not."""

    in_order: bool
    found: str
    advice: str = ""

    def __str__(self) -> str:
        lines = [f"{'ok  ' if self.in_order else 'FAIL'}  {self.found}"]
        if self.advice:
            lines.append(f"      → {self.advice}")
        return "\n".join(lines)


def examine() -> Iterator[Finding]:
    """Yield a ``Finding`` for everything the course needs, the most basic first."""
    yield python_version()
    yield from versions()
    yield torchvision_pair()
    yield public_names()
    yield lessons()
    yield processor()
    yield memory()
    yield data()
    yield from other_data()
    yield cache_folder()
    yield from shipped_networks()
    yield notebook_kernel()
    yield grading_sandbox()


def python_version() -> Finding:
    """Is this Python 3.10 or later?"""
    found = f"Python {sys.version.split()[0]} at {sys.prefix}"
    return Finding(
        sys.version_info >= (3, 10), found, "" if sys.version_info >= (3, 10) else "Install Python 3.10 or later."
    )


def versions() -> Iterator[Finding]:
    """Is each package the course needs installed, in a version that fits?"""
    for text in importlib.metadata.requires(PACKAGE) or []:
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": "lab"}):
            continue
        try:
            installed = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(False, f"{requirement.name} is not installed", f"pip install '{_plain(requirement)}'")
            continue
        fits = requirement.specifier.contains(Version(installed), prereleases=True)
        advice = "" if fits else f"The course needs {_plain(requirement)}: pip install '{_plain(requirement)}'"
        yield Finding(fits, f"{requirement.name} {installed}", advice)


def torchvision_pair() -> Finding:
    """Was this torchvision built for this torch?"""
    try:
        import torchvision

        wanted = [Requirement(text) for text in importlib.metadata.requires("torchvision") or []]
    except (ImportError, RuntimeError) as error:  # PackageNotFoundError is an ImportError
        return Finding(False, f"torchvision cannot be imported: {error}", "Reinstall torch and torchvision from one source.")
    for requirement in wanted:
        if requirement.name == "torch" and not requirement.specifier.contains(torch.__version__, prereleases=True):
            return Finding(
                False,
                f"torchvision {torchvision.__version__} was built for torch{requirement.specifier}, "
                f"but torch is {torch.__version__}",
                "Install the two from one release, such as those in requirements.lock.",
            )
    return Finding(True, f"torch {torch.__version__} and torchvision {torchvision.__version__} fit together")


def public_names() -> Finding:
    """Can all that the lessons use be imported? It is imported when it is first asked for, so nobody may have tried yet."""
    import attnprune_edu

    for name in attnprune_edu.__all__:
        try:
            getattr(attnprune_edu, name)
        except (ImportError, OSError, RuntimeError) as error:
            return Finding(
                False, f"{name} cannot be imported: {error}", f"Install the course again: pip install '{PACKAGE}[lab]'"
            )
    return Finding(True, f"all {len(attnprune_edu.__all__)} public names can be imported")


def lessons() -> Finding:
    """Are the lessons here?"""
    try:
        shipped = list(workbook.shipped_lessons().values())
    except FileNotFoundError as error:
        return Finding(False, str(error), "Install the course again, or in a clone: git checkout -- notebooks")
    return Finding(True, f"{len(shipped)} lessons are in {shipped[0].parent}")


def processor() -> Finding:
    """How many threads does torch use, and on what?"""
    threads, allowed, device = torch.get_num_threads(), _limits.cpus(), inference.best_device()
    found = f"training runs on {device.type} in {threads} threads; this process may use {allowed} of {os.cpu_count()} cores"
    if before := _limits.lower_threads():
        found += f" (torch itself would have started {before})"
    if threads <= allowed:
        return Finding(True, found)
    chosen = [name for name in _limits.CHOICES if os.environ.get(name)] or _limits.CHOICES[:1]
    return Finding(False, found, f"Too many threads slow training down: set {' and '.join(chosen)} to {allowed}.")


def memory() -> Finding:
    """Is there enough memory for the lessons, on this machine and for this process?"""
    machine, allowed = psutil.virtual_memory(), _limits.memory()
    found = f"{machine.available / 2**30:.1f} GB of memory are free (the lessons need {NEEDED_MEMORY_GB:.0f})"
    advice = ""
    if machine.available < NEEDED_MEMORY_GB * 2**30:
        advice = "Close other programs, or set ATTNPRUNE_DATA=shapes: the embedded set needs far less."
    if allowed < machine.total:
        found += f"; a limit allows {allowed / 2**30:.1f} GB to this process and those beside it"
        if allowed < NEEDED_MEMORY_GB * 2**30:
            advice = "Ask for a higher limit of this container or job, or set ATTNPRUNE_DATA=shapes, which needs far less."
    return Finding(not advice, found, advice)


def data() -> Finding:
    """Which data will the lessons use, and can they be loaded?"""
    chosen = os.environ.get("ATTNPRUNE_DATA", "").strip()
    if chosen.endswith(".npz"):
        try:
            images.load_data(chosen, announce=False)
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            return Finding(
                False,
                f"ATTNPRUNE_DATA names {chosen}, which cannot be used: {error}",
                "Correct the path or the file, or unset ATTNPRUNE_DATA.",
            )
    elif chosen not in ("", *images.SOURCES):
        return Finding(
            False, f"ATTNPRUNE_DATA is {chosen!r}", f"It must be one of {', '.join(images.SOURCES)} or an .npz file."
        )
    if chosen and chosen not in ("auto", "cifar10"):
        return Finding(True, f"the lessons will use {chosen} (ATTNPRUNE_DATA)")
    if images.has_cifar10():
        return Finding(True, f"CIFAR-10 is in {images.cache_folder()}")
    advice = "Fetch the real data (170 MB) with `attnprune-edu data`."
    if chosen == "cifar10":
        return Finding(False, "ATTNPRUNE_DATA asks for CIFAR-10, which is not on this machine", advice)
    return Finding(True, "CIFAR-10 is not on this machine; the lessons will use the embedded set", advice)


def other_data() -> Iterator[Finding]:
    """Which data of other kinds are here? Each belongs to one or two lessons, so it is in order to have none."""
    for name, present, load in (
        ("digits", digits.has_digits, digits.load_digits),
        ("xrays", xrays.has_xrays, xrays.load_xrays),
        ("faces", faces.has_faces, faces.load_faces),
    ):
        variable = f"ATTNPRUNE_{name.upper()}"
        chosen = os.environ.get(variable, "").strip()
        try:
            found = load(announce=False) if chosen else None
        except (OSError, TypeError, ValueError) as error:
            advice = f"Correct the path or the file, or unset {variable}."
            yield Finding(False, f"{variable} names {chosen}, which cannot be used: {error}", advice)
            continue
        if found:
            yield Finding(True, f"{name}: {chosen} ({variable})")
        elif present():
            yield Finding(True, f"{name} are in {images.cache_folder()}")
        else:
            yield Finding(True, f"{name} are not on this machine", f"`attnprune-edu data {name}` fetches them.")


def cache_folder() -> Finding:
    """Can CIFAR-10 be kept in the cache folder?"""
    folder = images.cache_folder()
    if images.has_cifar10():
        return Finding(True, f"the cache folder {folder} holds CIFAR-10 already")
    place = next(path for path in (folder, *folder.parents) if os.path.lexists(path))  # as much of it as is there
    try:
        with tempfile.TemporaryFile(dir=place):  # rights alone say little: a disk may be read-only, and root writes anywhere
            return Finding(True, f"CIFAR-10 can be kept in {folder}")
    except OSError as error:
        return Finding(
            False,
            f"CIFAR-10 cannot be kept in the cache folder {folder}: nothing can be written to {place} ({error.strerror})",
            "Let ATTNPRUNE_CACHE name a folder that can be written to.",
        )


def shipped_networks() -> Iterator[Finding]:
    """Do the networks that ship with the package load?"""
    for name, data_name in ((name, data) for name, (_, all_data) in checkpoints.SHIPPED.items() for data in all_data):
        try:
            checkpoints.load_model(name, data_name)
        except (FileNotFoundError, ValueError) as error:
            file = checkpoints.shipped_file(name, data_name)
            yield Finding(False, str(error), f"Install the package again, or restore the file: git checkout -- {file}")
        else:
            yield Finding(True, f"the network {name}-{data_name} loads")


def notebook_kernel() -> Finding:
    """Will a notebook run with this very Python?"""
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        return Finding(False, "Jupyter is not installed beside the course", f"pip install '{PACKAGE}[lab]'")
    install = f"{sys.executable} -m ipykernel install --sys-prefix"
    try:
        command = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        return Finding(False, "Jupyter finds no Python kernel", f"Make one: {install}")
    # A kernel may be called just "python"; Jupyter then starts the interpreter it runs on itself.
    here = Path(command).name == command or Path(command).parent == Path(sys.executable).parent
    advice = "" if here else f"Lessons would run with another Python. Make this one the kernel: {install}"
    return Finding(here, f"the notebook kernel runs {command}", advice)


def grading_sandbox() -> Finding:
    """Can coursework be graded here? Only teachers need that, so it is in order anyway."""
    problem = sandbox.problem()
    found = f"coursework can{'not' if problem else ''} be graded here in a sandbox"
    return Finding(True, found, f"Only teachers need it. {problem}" if problem else "")


def _plain(requirement: Requirement) -> str:
    return f"{requirement.name}{requirement.specifier}"
