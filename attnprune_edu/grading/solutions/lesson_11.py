"""Lesson 11: the answers to every student's own numbers, as code for the cell with the blank."""


def _bytes(weights: int, nonzero: int) -> str:
    return f"answer_1 = {nonzero} * 4 + {weights} / 8  # {nonzero * 4 + weights // 8:,}"


def _knapsack(power: float) -> str:
    return f"""
def my_knapsack(losses, costs, budget):
    best, ways = [0.0] * (budget + 1), [[]] * (budget + 1)
    for of_layer, prices in zip(losses, costs):
        new_best, new_ways = [], []
        for c in range(budget + 1):
            found = [
                (best[c - cost] + loss ** {power:g}, [*ways[c - cost], option])
                for option, (loss, cost) in enumerate(zip(of_layer, prices))
                if cost <= c
            ]
            loss, way = min(found, default=(float("inf"), []), key=lambda pair: pair[0])
            new_best.append(loss)
            new_ways.append(way)
        best, ways = new_best, new_ways
    return best, best[-1], ways[-1]
""".strip()


SOLUTIONS = {"bytes_of_single_weights": _bytes, "knapsack_by_hand": _knapsack}
