"""Checks of lesson 06, fine-tune and recover."""

import torch

from .verdict import Verdict, close_to, exercise, result_of, right, wrong


@exercise
def left_after_stage_three(answer) -> Verdict:
    """Pruning 64 channels by 0.8 in 4 equal stages: how many stay after stage 3?"""
    answer = float(answer)
    close = close_to(answer, 0.05)
    if answer == 26:
        return right("after stage 3 the ratio is 0.8 · 3/4 = 0.6, so 38 of 64 channels are gone.")
    if answer == 38 or close(38.4):
        return wrong("that many are gone after stage 3. How many stay?")
    if close(25.6) or answer == 25:
        return wrong("channels go as a whole: 38.4 is rounded to the nearest whole number, and so many go.")
    if answer == 33 or close(32.77):
        return wrong("you took 20 % of what was left at each stage. The ratios are shares of the original 64.")
    if answer == 13 or close(12.8):
        return wrong("that is what stays after stage 4, at the end.")
    if answer == 51 or close(51.2):
        return wrong("that is what stays after stage 1.")
    if answer == 16:
        return wrong("you took 3/4 of all channels. The stages lead to 0.8, so stage 3 stands at 3/4 of 0.8.")
    if close(0.6) or close(0.4):
        return wrong("that is a share. How many of 64 channels is it?")
    return wrong("the ratio after stage 3 is 3/4 of 0.8. That share of 64 goes, rounded to a whole number.")


@exercise
def cubic_schedule(function) -> Verdict:
    """A function (final, stage, stages) → the pruning ratio after that stage, final · (1 − (1 − stage/stages)³)."""
    for final, stages in ((0.8, 4), (0.6, 10)):
        ratios = []
        for stage in range(stages + 1):
            ratio = result_of(function, final, stage, stages)
            if ratio.numel() != 1:
                return wrong(f"a ratio is a single number; yours has the shape {tuple(ratio.shape)}.")
            ratios.append(float(ratio))
        if problem := _amiss(ratios, final, stages):
            return wrong(problem)
    return right("most goes at the start, while there is still much that nobody misses; the last stages are gentle.")


def _amiss(ratios: list[float], final: float, stages: int) -> str | None:
    """The misconception behind the ``ratios`` of stage 0, 1, …; None if they are right."""
    done = [stage / stages for stage in range(stages + 1)]

    def equals(values):
        return all(abs(ratio - value) < 1e-5 for ratio, value in zip(ratios, values, strict=True))

    if equals([final * (1 - (1 - t) ** 3) for t in done]):
        return None
    misconceptions = [
        ([final * t for t in done], "that is the linear schedule: each stage prunes equally much."),
        (
            [final * t**3 for t in done],
            "yours is slow at first and fast at the end. Cube the rest, 1 − stage/stages.",
        ),
        ([final * (1 - t) ** 3 for t in done], "that is what is still to come. Take it away from `final`."),
        ([1 - (1 - t) ** 3 for t in done], "it ends at 1, whatever `final` is. Multiply by `final`."),
        (
            [1 - final * (1 - (1 - t) ** 3) for t in done],
            "that share stays. The pruning ratio is the share that goes.",
        ),
        ([final * (1 - (1 - t) ** 2) for t in done], "you squared where the formula cubes: the exponent is 3."),
        (
            [final * (1 - (1 - t - 1 / stages) ** 3) for t in done],
            "you are one stage ahead. At stage 0 nothing is pruned yet.",
        ),
    ]
    for values, message in misconceptions:
        if equals(values):
            return message
    if abs(ratios[0]) > 1e-5:
        return f"at stage 0 nothing is pruned yet, but you give {ratios[0]:.4g}."
    if abs(ratios[-1] - final) > 1e-5:
        return f"after the last stage the ratio should be {final}, but you give {ratios[-1]:.4g}."
    middle = stages // 2
    expected = final * (1 - (1 - done[middle]) ** 3)
    given = f"you give {ratios[middle]:.4g}"
    return f"it starts and ends right, but at stage {middle} of {stages} it should be {expected:.4g}; {given}."


@exercise
def ridge_by_hand(function) -> Verdict:
    """A function (x, y, start, ridge) → the W with the smallest ‖x Wᵀ − y‖² + ridge · ‖W − start‖²."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x, y, start, ridge = draw(20, 4), draw(20, 3), draw(3, 4), 2.5
    squares, identity = x.T @ x, torch.eye(4, dtype=torch.float64)
    products, change = y.T @ x, (y - x @ start.T).T @ x
    inverse = (squares + ridge * identity).inverse()
    solution = start + change @ inverse
    found = result_of(function, x, y, start, ridge)

    def equals(value):
        return found.shape == value.shape and torch.allclose(found.to(value), value, atol=1e-5)

    if equals(solution.T):
        return wrong("the result is transposed: it should have the shape (outputs, inputs), as `start` has.")
    if found.shape != start.shape:
        return wrong(f"the result has the shape {tuple(found.shape)}; it should have that of `start`, {tuple(start.shape)}.")
    misconceptions = [
        (products @ inverse, "this pulls W towards 0. The second term pulls it towards `start`."),
        (
            start + products @ inverse,
            "you add `start`, but still explain all of y. Explain what is left: y − x startᵀ.",
        ),
        (change @ inverse, "that is how W differs from `start`. Add `start` to it."),
        (products @ squares.inverse(), "the ridge is missing: this fits y alone, as if ridge were 0."),
        (
            start + change @ (squares + ridge).inverse(),
            "you add the ridge to every entry of xᵀx. Only the diagonal gets it: ridge times the identity.",
        ),
        (
            products @ (squares + ridge).inverse(),
            "only the diagonal of xᵀx gets the ridge, and it pulls W towards `start`.",
        ),
        (start + change @ (squares + ridge**2 * identity).inverse(), "the ridge enters as it is, not squared."),
        (
            start + change @ (squares / 20 + ridge * identity).inverse() / 20,
            "you take the mean over the rows, so that the ridge weighs more. The formula takes the sum.",
        ),
        (start, "this is `start` unchanged. Now move it towards what explains y."),
    ]
    for value, message in misconceptions:
        if equals(value):
            return wrong(message)
    if not equals(solution):
        loss, best = (
            ((x @ w.T - y).square().sum() + ridge * (w - start).square().sum()).item() for w in (found.to(start), solution)
        )
        return wrong(f"your W brings the sum to {loss:.4g}; the smallest possible is {best:.4g}.")
    x, y = draw(3, 4), draw(3, 3)
    x[:, 1] = 0  # an input that is always silent, and fewer rows than inputs
    found = result_of(function, x, y, start, ridge)
    inverse = (x.T @ x + ridge * identity).inverse()
    if not equals(start + (y - x @ start.T).T @ x @ inverse):
        return wrong("right for that x, but not where xᵀx cannot be inverted. With the ridge added it always can.")
    return right("where an input is always silent, its weights stay as they were in `start`.")
