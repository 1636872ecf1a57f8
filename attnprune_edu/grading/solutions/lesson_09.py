"""Lesson 09: the answers to every student's own numbers, as code for the cell with the blank."""


def _score(activations: tuple[tuple[int, int], tuple[int, int]]) -> str:
    means = [sum(max(value, 0) for value in position) / 2 for position in zip(*activations, strict=True)]
    return f"answer_1 = ({' + '.join(f'{mean:g}**2' for mean in means)}) / 2  # {sum(mean**2 for mean in means) / 2:g}"


def _map(gamma: float) -> str:
    return f"""
def map_of(activations, power):
    sums = activations.pow(power).sum(dim=1)  # (N, height, width)
    maps = sums / sums.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)
    return maps ** {gamma:g}
""".strip()


def _criterion(threshold: float) -> str:
    return f"""
@torch.no_grad()
def criterion(network, name, images, power):
    caught = []
    layer = network.get_submodule(name)
    hook = layer.register_forward_hook(lambda layer, inputs, output: caught.append(output))
    try:
        network(images)
    finally:
        hook.remove()
    outputs = caught[0] - {threshold:g}
    mean = outputs.relu().mean(dim=0)  # (channels, height, width)
    scores = mean.pow(power).mean(dim=(1, 2))  # (channels,)
    return outputs, mean, scores
""".strip()


SOLUTIONS = {"score_of_a_channel": _score, "map_of_activations": _map, "activation_criterion": _criterion}
