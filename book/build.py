"""Build the book, a site of the lessons with their stored outputs: nothing is run, and no network is needed.

python book/build.py [FOLDER]      # default: build/book; its pages come into FOLDER/html
"""

import shutil
import sys
from pathlib import Path

from sources import ROOT, write_sources
from sphinx.cmd.build import main as sphinx


def main(folder: Path) -> int:
    """Write the sources and build the pages in ``folder``; return Sphinx's exit status, which any warning makes 1."""
    source, doctrees, html = (folder / name for name in ("source", "doctrees", "html"))
    for old in (source, doctrees, html):
        shutil.rmtree(old, ignore_errors=True)
    write_sources(source)
    options = ["-b", "html", "-W", "--keep-going", "-q", "-j", "auto"]
    return sphinx([*options, "-c", str(ROOT / "book"), "-d", str(doctrees), str(source), str(html)])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "book"))
