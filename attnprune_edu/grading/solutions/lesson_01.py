"""Lesson 01: the answers to every student's own numbers, as code for the cell with the blank."""


def _parameters(filters: int, kernel: int, neurons: int, read_each: int) -> str:
    return f"answer_1 = {filters} * {kernel**2} + 1 + {neurons} * {read_each**2}"


def _removable(first: tuple, bias: tuple, second: tuple) -> str:
    silent = [not any(row) and offset <= 0 for row, offset in zip(first, bias, strict=True)]
    unread = [not any(column) for column in zip(*second, strict=True)]
    return f"answer_2 = {[number for number, goes in enumerate(map(max, silent, unread)) if goes]}"


def _pruner(exponent: float) -> str:
    return f"""
import copy

def magnitude_pruner(network, share):
    kinds = torch.nn.Conv2d | torch.nn.Linear
    weights = {{name: layer.weight.detach() for name, layer in network.named_modules() if isinstance(layer, kinds)}}

    sizes = torch.cat([(weight.abs() * weight.numel() ** {exponent:g}).flatten() for weight in weights.values()])

    stays = torch.ones(len(sizes), dtype=torch.bool)
    stays[sizes.argsort()[: round(share * len(sizes))]] = False
    pieces = stays.split([weight.numel() for weight in weights.values()])
    masks = {{name: piece.view_as(weights[name]) for name, piece in zip(weights, pieces)}}

    pruned = copy.deepcopy(network)
    for name, mask in masks.items():
        pruned.get_submodule(name).weight.data *= mask

    zeros = {{name: (~mask).float().mean().item() for name, mask in masks.items()}}
    return sizes, masks, pruned, zeros
""".strip()


SOLUTIONS = {"parameters_of_a_filter": _parameters, "removable_neurons": _removable, "magnitude_pruner": _pruner}
