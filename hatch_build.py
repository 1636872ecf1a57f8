"""What a checkout has beside the package, a wheel has inside it, where attnprune_edu/_course.py looks for it."""

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class LessonsInWheel(BuildHookInterface):
    """Put the lessons, their notebooks and the README into the wheel."""

    def initialize(self, version: str, build_data: dict) -> None:
        """Add them to ``build_data``, unless ``version`` is "editable": such an installation has those of the checkout."""
        if version == "standard":
            beside = ("lessons", "notebooks", "README.md")
            build_data["force_include"].update({name: f"attnprune_edu/course/{name}" for name in beside})
