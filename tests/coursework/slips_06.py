"""Wrong answers to the coursework on lesson 06: {check: [(given numbers → the answer, what the verdict says)]}."""

from test_lesson_06 import CASES, repair

from attnprune_edu import checks


def schedule(of):
    """A slip of ``of(final, start, power, share of the stages that is done, stages)``."""
    return lambda power, start: lambda final, stage, stages: of(final, start, power, stage / stages, stages)


def after(final, start, power, done, stages):
    return final - (final - start) * (1 - done) ** power


def by_stage(change):
    """A slip of ``change(schedule, final, stage, stages)``, where ``schedule`` is the right one of the student."""
    return lambda power, start: lambda *given: change(schedule(after)(power, start), *given)


def with_used(function, pick=lambda images, start, step: images[start::step]):
    """A wrong repair of the lesson, with the pictures that the student should use, or with others."""
    return lambda start, step: lambda dense, pruned, images, ridge: function(dense, pruned, pick(images, start, step), ridge)


SLIPS = {
    "cubic_schedule": [
        (schedule(lambda final, start, power, done, stages: start + (final - start) * done), "linear"),
        (schedule(lambda final, start, power, done, stages: start + (final - start) * done**power), "slow at first"),
        (schedule(lambda final, start, power, done, stages: (final - start) * (1 - done) ** power), "away from `final`"),
        (schedule(lambda final, start, power, done, stages: (1 - done) ** power), "that is only the share of `final` −"),
        (schedule(lambda final, start, power, done, stages: 1 - (1 - done) ** power), "Multiply by `final`"),
        (schedule(lambda final, *others: after(1, *others)), "It should end at `final`"),
        (schedule(lambda final, *others: 1 - final + after(final, *others)), "subtract from `final`, not from 1"),
        (schedule(lambda final, start, power, done, stages: final - (final - start) * done**power), "share that is done"),
        (schedule(lambda *given: 1 - after(*given)), "that share stays"),
        (schedule(lambda final, start, power, done, stages: final - (1 - done) ** power), "Multiply the power by it"),
        (schedule(lambda final, start, power, *others: after(final, start, 2, *others)), "you took 2 instead"),
        (schedule(lambda final, start, power, *others: after(final, start, 3, *others)), "you took 3 instead"),
        (
            schedule(lambda final, start, power, done, stages: final - (final - start) * (1 - done) * power),
            "you multiplied by",
        ),
        (
            schedule(lambda final, start, power, done, stages: final - (final - start) * (1 - done) ^ power),
            "written with `**`",
        ),
        (by_stage(lambda right, final, stage, stages: right(final, stage + 1, stages)), "one stage ahead"),
        (by_stage(lambda right, final, stage, stages: right(final, stage - 1, stages)), "one stage behind"),
        (by_stage(lambda right, final, stage, stages: right(final, stage, stages - 1)), "not by `stages - 1`"),
        (
            by_stage(lambda right, final, stage, stages: right(final, stage, stages) - right(final, stage - 1, stages)),
            "what this stage prunes",
        ),
        (schedule(lambda *given: 100 * after(*given)), "in percent"),
        (schedule(lambda *given: round(after(*given), 2)), "rounded"),
        (schedule(lambda final, start, *others: after(final, start, *others) - start), "what was pruned before is missing"),
        (schedule(lambda final, start, *others: after(final, 0, *others)), "your schedule begins at 0"),
        (schedule(lambda final, start, *others: start + after(final, 0, *others)), "it ends above `final`"),
        (schedule(lambda final, start, *others: after(final, start * final, *others)), "share of all channels"),
        (lambda power, start: lambda final, stage, stages: final * (1 - (1 - stage / stages) ** 3), "the lesson's own"),
        (lambda power, start: 0.8, "this is a float"),
    ],
    "repair_by_hand": [
        *(
            (with_used(answer), says)
            for check, answer, solved, says in CASES
            if check is checks.repair_by_hand and solved is False and callable(answer)
            if not says.startswith(("a tuple", "it returns", "returns nothing"))  # the same whatever the numbers are
        ),
        (with_used(repair(), lambda images, start, step: images[::step]), "of the pictures"),
        (with_used(repair(), lambda images, start, step: images[start - 1 :: step]), "of the pictures"),
        (with_used(repair(), lambda images, start, step: images[start:]), "of the pictures"),
        (lambda start, step: repair(), "the lesson's own exercise"),
    ],
}
