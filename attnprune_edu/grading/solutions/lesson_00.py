"""Lesson 00: the answers to every student's own numbers, as code for the cell with the blank."""


def _share(first: int, second: int) -> str:
    return f"answer_1 = {32 - first} / 32 * {64 - second} / 64"


def _keep(factor: float) -> str:
    return f"""
def keep_for_one_layer(importance, layer, ratio):
    return ap.keep_by_ratio({{layer: importance[layer]}}, pruning_ratio={factor} * ratio)
""".strip()


def _six_steps(power: float, temperature: float) -> str:
    return f"""
import copy

def six_steps(network, points, labels, ratio):
    sizes = network[0].weight.detach().abs() ** {power}
    importance = ((sizes / {temperature}).softmax(dim=1) * sizes).sum(dim=1)

    keep = torch.ones(len(importance), dtype=torch.bool)
    keep[importance.argsort()[: round(ratio * len(importance))]] = False

    def silence(network):
        with torch.no_grad():
            network[0].weight[~keep] = 0
            network[0].bias[~keep] = 0

    masked = copy.deepcopy(network)
    silence(masked)

    tuned = copy.deepcopy(masked)
    optimizer = torch.optim.SGD(tuned.parameters(), lr=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(tuned(points), labels).backward()
        optimizer.step()
        silence(tuned)

    hidden = int(keep.sum())
    first = torch.nn.Linear(network[0].in_features, hidden)
    second = torch.nn.Linear(hidden, network[2].out_features)
    with torch.no_grad():
        first.weight.copy_(tuned[0].weight[keep])
        first.bias.copy_(tuned[0].bias[keep])
        second.weight.copy_(tuned[2].weight[:, keep])
        second.bias.copy_(tuned[2].bias)
    small = torch.nn.Sequential(first, torch.nn.Tanh(), second)

    before, after = (sum(p.numel() for p in net.parameters()) for net in (network, small))
    return importance, keep, masked, tuned, small, after / before
""".strip()


SOLUTIONS = {"weights_left": _share, "keep_for_one_layer": _keep, "six_steps": _six_steps}
