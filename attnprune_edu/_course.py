"""Where the lessons lie: inside the package if it came as a wheel, else beside it in the course's repository."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
INSIDE = PACKAGE / "course"  # hatch_build.py puts them there
COURSE = INSIDE if INSIDE.is_dir() else PACKAGE.parent
