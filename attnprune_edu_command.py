"""The entry point of ``attnprune-edu``, outside the package: it must be able to say that the package cannot be imported."""

import sys


def main() -> int:
    """Run the command; if the package cannot be imported, say what is missing and what to do. Returns the exit status."""
    try:
        from attnprune_edu.cli import main as run
    except (ImportError, OSError, RuntimeError) as error:
        print(f"FAIL  the course cannot be imported: {error}", file=sys.stderr)
        print("      → Install it again with all it needs: pip install 'attnprune-edu[lab]'", file=sys.stderr)
        print("        (in a clone of the course: make clean lab, or pip install -e '.[lab]')", file=sys.stderr)
        return 1
    return run()


if __name__ == "__main__":
    sys.exit(main())
