"""Lesson 06: the answers to every student's own numbers, as code for the cell with the blank."""


def _schedule(power: int, start: float) -> str:
    return f"""
def cubic(final, stage, stages):
    return final - (final - {start}) * (1 - stage / stages) ** {power}
""".strip()


def _repair(start: int, step: int) -> str:
    return f"""
@torch.no_grad()
def repair_fc2(dense, pruned, images, ridge):
    images = images[{start}::{step}]
    given = []
    hook = pruned.fc2.register_forward_hook(lambda layer, inputs, output: given.append(inputs[0]))
    pruned(images)
    hook.remove()
    x, y = given[0], dense(images)

    old = torch.cat([pruned.fc2.weight, pruned.fc2.bias[:, None]], dim=1)  # (outputs, inputs + 1)
    with_ones = torch.cat([x, torch.ones(len(x), 1)], dim=1)  # (N, inputs + 1)
    squares = with_ones.T @ with_ones + ridge * torch.eye(with_ones.shape[1])
    missing = (y - with_ones @ old.T).T @ with_ones
    new = old + torch.linalg.solve(squares, missing.T).T
    return x, y, new[:, :-1], new[:, -1]
""".strip()


SOLUTIONS = {"cubic_schedule": _schedule, "repair_by_hand": _repair}
