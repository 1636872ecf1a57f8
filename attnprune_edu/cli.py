"""The command ``attnprune-edu``: ``lesson`` and ``lessons`` copy lessons, ``data`` downloads data, ``doctor`` looks around.

What teachers do with it stands in ``grading.cli``.
"""

import argparse
import importlib
import sys

from .grading import cli as teachers

# What `attnprune-edu data NAME` fetches: the module with the function that does so, and what it is.
DOWNLOADS = {
    "cifar10": ("download", "photographs, 170 MB"),
    "digits": ("digits", "spoken digits, 16 MB"),
    "xrays": ("xrays", "chest X-rays, 4 MB"),
    "faces": ("faces", "the Database of Faces, 4 MB"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command with ``arguments`` (default: those of the command line); return its exit status, 0 if all is well."""
    parser = argparse.ArgumentParser(prog="attnprune-edu", description="Helpers for the course on pruning with attention.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    lesson = commands.add_parser("lesson", help="copy lessons into workbook/, where you may change what you like")
    lessons = commands.add_parser("lessons", help="the same into a FOLDER of your own, wherever the course was installed")
    lessons.add_argument("folder", metavar="FOLDER", help="where the copies go; made if it is not there")
    for either in (lesson, lessons):
        either.add_argument("lessons", nargs="*", metavar="NN", help="their numbers, such as 02; without any, all of them")
        either.add_argument(
            "--fresh", action="store_true", help="a clean copy; the one you had keeps a dated name beside it"
        )
    data = commands.add_parser("data", help="download a data set into the cache folder; run again to resume")
    choices = ", ".join(f"{name} ({what})" for name, (_, what) in DOWNLOADS.items())
    data.add_argument(
        "name", nargs="?", metavar="NAME", choices=DOWNLOADS, default="cifar10", help=f"{choices}; cifar10 if none"
    )
    commands.add_parser("doctor", help="check versions, data, networks and kernel, and say what to do")
    teachers.add_to(commands)
    chosen = vars(parser.parse_args(arguments))
    command = chosen.pop("command")
    if command is None:
        parser.print_help()
        return 0
    ours = {"lesson": _lesson, "lessons": _lessons, "data": _data, "doctor": _doctor}
    return (ours | teachers.COMMANDS)[command](**chosen)


def _lesson(lessons: list[str], fresh: bool) -> int:
    return _copy("lesson", lessons, None, fresh)


def _lessons(folder: str, lessons: list[str], fresh: bool) -> int:
    if folder.isdecimal():
        print(f"attnprune-edu lessons: FOLDER comes first, as in `attnprune-edu lessons FOLDER {folder}`", file=sys.stderr)
        return 1
    return _copy("lessons", lessons, folder, fresh)


def _copy(command: str, lessons: list[str], folder: str | None, fresh: bool) -> int:
    from . import workbook

    try:
        for notebook, became in workbook.copy_lessons(lessons, folder, fresh=fresh):
            if lessons or became != workbook.AS_IT_WAS:
                print(f"{notebook if folder else notebook.relative_to(workbook.COURSE)}: {became}")
    except (OSError, ValueError) as error:
        print(f"attnprune-edu {command}: {error}", file=sys.stderr)
        return 1
    return 0


def _doctor() -> int:
    from . import doctor

    findings = []
    for finding in doctor.examine():
        print(finding)
        findings.append(finding)
    failed = sum(not finding.in_order for finding in findings)
    print(f"\n{failed} of {len(findings)} checks failed." if failed else f"\nAll {len(findings)} checks passed.")
    return 1 if failed else 0


def _data(name: str) -> int:
    from .data.images import cache_folder

    module, _ = DOWNLOADS[name]
    download = getattr(importlib.import_module(f".data.{module}", __package__), f"download_{name}")
    try:
        place = download(cache_folder())
    except (ImportError, OSError, ValueError) as error:
        print(f"attnprune-edu data: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on from here.", file=sys.stderr)
        return 130
    print(f"{name} is in {place}")
    return 0
