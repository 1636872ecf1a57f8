"""The command ``attnprune-edu``: ``lesson`` copies lessons, ``data`` downloads CIFAR-10, ``doctor`` looks around here.

What teachers do with it stands in ``grading.cli``.
"""

import argparse
import sys

from .grading import cli as teachers


def main(arguments: list[str] | None = None) -> int:
    """Run the command with ``arguments`` (default: those of the command line); return its exit status, 0 if all is well."""
    parser = argparse.ArgumentParser(prog="attnprune-edu", description="Helpers for the course on pruning with attention.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    lesson = commands.add_parser("lesson", help="copy lessons into workbook/, where you may change what you like")
    lesson.add_argument("lessons", nargs="*", metavar="NN", help="their numbers, such as 02; without any, all of them")
    lesson.add_argument("--fresh", action="store_true", help="a clean copy; the one you had keeps a dated name beside it")
    commands.add_parser("data", help="download CIFAR-10 (170 MB) into the cache folder; run again to resume")
    commands.add_parser("doctor", help="check versions, data, networks and kernel, and say what to do")
    teachers.add_to(commands)
    chosen = vars(parser.parse_args(arguments))
    command = chosen.pop("command")
    if command is None:
        parser.print_help()
        return 0
    return ({"lesson": _lesson, "data": _data, "doctor": _doctor} | teachers.COMMANDS)[command](**chosen)


def _lesson(lessons: list[str], fresh: bool) -> int:
    from . import workbook

    try:
        for notebook, became in workbook.copy_lessons(lessons, fresh=fresh):
            if lessons or became != workbook.AS_IT_WAS:
                print(f"{notebook.relative_to(workbook.COURSE)}: {became}")
    except (OSError, ValueError) as error:
        print(f"attnprune-edu lesson: {error}", file=sys.stderr)
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


def _data() -> int:
    from .data.download import download_cifar10
    from .data.images import cache_folder

    try:
        folder = download_cifar10(cache_folder())
    except OSError as error:
        print(f"attnprune-edu data: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on from here.", file=sys.stderr)
        return 130
    print(f"CIFAR-10 is in {folder}")
    return 0
