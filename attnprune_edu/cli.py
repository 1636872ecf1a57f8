"""The command ``attnprune-edu``: ``doctor`` looks this machine over, ``data`` downloads CIFAR-10."""

import argparse
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run the command with ``arguments`` (default: those of the command line); return its exit status, 0 if all is well."""
    parser = argparse.ArgumentParser(prog="attnprune-edu", description="Helpers for the course on pruning with attention.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("doctor", help="check versions, data, networks and kernel, and say what to do")
    commands.add_parser("data", help="download CIFAR-10 (170 MB) into the cache folder; run again to resume")
    chosen = parser.parse_args(arguments).command
    return {"doctor": _doctor, "data": _data}[chosen]()


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
