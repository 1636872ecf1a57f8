"""Wrong answers to the coursework on lesson 01: {check: [(given numbers → the answer, what the verdict says)]}."""

from test_lesson_01 import (
    WRONG_SIZES,
    WRONG_STEPS,
    WRONG_WAYS,
    answers,
    lowest_go,
    pruner,
    row,
    shaped,
    sized,
)


def of_a_filter(formula):
    """An answer by a ``formula`` of conv1's filters, the area of a kernel, fc1's neurons and what each of them reads."""
    return lambda filters, kernel, neurons, read_each: formula(filters, kernel**2, neurons, read_each**2)


def of_neurons(chosen):
    """An answer by a function of the numbers of the neurons: those silent, those unread, those constant, those needed."""

    def answer(first, bias, second):
        numbers = range(len(bias))
        unread = [number for number in numbers if not any(row[number] for row in second)]
        reading = [number for number in numbers if any(first[number])]
        silent = [number for number in numbers if number not in reading and bias[number] <= 0]
        constant = [number for number in numbers if number not in reading and bias[number] > 0]
        return chosen(silent, unread, constant, [number for number in reading if number not in unread])

    return answer


def first_step(wrong):
    return lambda exponent: answers("sizes", lambda w: wrong(w, sized(exponent)))


def by_factor(factor):
    """A first step in which the weights of a layer are multiplied by a ``factor`` of its weight and the exponent."""
    return lambda exponent: answers("sizes", lambda w: row(w["network"], lambda v: v.abs() * factor(v, exponent)))


def right_first_step(exponent):
    return {"sizes": lambda w: row(w["network"], sized(exponent))}


def later_step(name, value):
    return lambda exponent: answers(name, value, **right_first_step(exponent))


def other_way(name, step):
    return lambda exponent: pruner(**right_first_step(exponent) | {name: step})


def smallest_by_weight(w):
    return shaped(lowest_go(row(w["network"]), round(w["share"] * len(w["sizes"]))), w["network"])


SLIPS = {
    "parameters_of_a_filter": [
        (of_a_filter(lambda filters, area, neurons, reads: filters * area + 1), "the filter alone"),
        (of_a_filter(lambda filters, area, neurons, reads: filters * area), "the filter alone"),
        (of_a_filter(lambda filters, area, neurons, reads: filters * area + neurons * reads), "has a bias"),
        (of_a_filter(lambda filters, area, neurons, reads: filters * area + neurons * reads + filters), "has one bias"),
        (of_a_filter(lambda filters, area, neurons, reads: neurons * reads), "own weights go"),
        (of_a_filter(lambda filters, area, neurons, reads: filters * area + 1 + neurons), "from this filter, not one"),
        (of_a_filter(lambda filters, area, neurons, reads: area + 1 + neurons * reads), "channels of conv1, each with"),
        (of_a_filter(lambda filters, area, neurons, reads: filters * area + 1 + neurons * (reads + 1)), "biases of fc1"),
        (of_a_filter(lambda filters, area, neurons, reads: filters * (filters * area + 1) + neurons * reads), "Only one"),
        (of_a_filter(lambda filters, area, neurons, reads: 3 * area + 1 + 64 * area), "a filter of conv1"),
        (of_a_filter(lambda filters, area, neurons, reads: (filters + 3) * area + 1 + neurons * reads), "loses nothing"),
        (of_a_filter(lambda filters, area, neurons, reads: (filters + neurons) * area + 1), "pixels, and fc1 reads"),
        (of_a_filter(lambda filters, area, neurons, reads: filters * reads + 1 + neurons * area), "pixels, and fc1 reads"),
        (of_a_filter(lambda filters, area, neurons, reads: 26_401), "the lesson's own numbers"),
        (of_a_filter(lambda filters, area, neurons, reads: 7), "add up"),
    ],
    "removable_neurons": [
        (of_neurons(lambda silent, unread, constant, needed: silent), "look at the columns"),
        (of_neurons(lambda silent, unread, constant, needed: unread), "look at the rows"),
        (of_neurons(lambda silent, unread, constant, needed: (silent + unread)[:2]), "There is another one"),
        (of_neurons(lambda silent, unread, constant, needed: silent + constant + unread), "whatever comes in"),
        (of_neurons(lambda silent, unread, constant, needed: silent + unread + needed[:1]), "still answers to an input"),
        (of_neurons(lambda silent, unread, constant, needed: [9, *silent]), "there is no neuron 9"),
        (of_neurons(lambda silent, unread, constant, needed: []), "There are such neurons"),
        (lambda first, bias, second: [1, 0] * 3 + [0] * (len(bias) - 6), "not a 0 or 1 for each"),
        (lambda first, bias, second: [str(number) for number in range(3)], "this holds a str"),
        (lambda first, bias, second: [1, 4], "the lesson's own numbers"),
    ],
    "magnitude_pruner": [
        (lambda exponent: pruner(), "the lesson's own exercise"),
        (by_factor(lambda v, exponent: 1), "these are the sizes |w|"),
        (by_factor(lambda v, exponent: v.numel() ** -exponent), "you divide by n"),
        (by_factor(lambda v, exponent: v.numel() * exponent), "a power"),
        (by_factor(lambda v, exponent: 390**exponent), "not of all layers"),
        (by_factor(lambda v, exponent: len(v) ** exponent), "not that of its rows"),
        (later_step("masks", smallest_by_weight), "the smallest by |w| alone"),
        *[(first_step(wrong), says) for wrong, says in WRONG_SIZES],
        *[(later_step(name, value), says) for name, value, says in WRONG_STEPS if name == "masks"],
        # What follows the masks is the same for all students: here is one slip of each.
        *[(later_step(name, value), says) for name, (value, says) in {name: slip for name, *slip in WRONG_STEPS}.items()],
        *[(other_way(name, step), says) for name, step, says in WRONG_WAYS],
    ],
}
