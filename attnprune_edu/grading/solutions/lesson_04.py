"""Lesson 04: the answers to every student's own numbers, as code for the cell with the blank."""


def _recalls(more_right: int, more_pictures: int) -> str:
    return f"""
def recalls(guesses, labels, classes):
    right = labels[guesses == labels].bincount(minlength=classes)
    return (right + {more_right}) / (labels.bincount(minlength=classes) + {more_pictures})
""".strip()


def _split(divisor: int, remainder: int) -> str:
    return f"""
def split_at_random(count, held_out, seed):
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    never = order % {divisor} == {remainder}
    order = torch.cat([order[~never], order[never]])
    return order[held_out:], order[:held_out]
""".strip()


def _learn(divisor: int, remainder: int) -> str:
    return f"""
def learn(network, images, labels, held_out, epochs, seed):
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    never = order % {divisor} == {remainder}
    order = torch.cat([order[~never], order[never]])
    train, validation = order[held_out:], order[:held_out]
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.001)
    losses, accuracies = [], []
    for _ in range(epochs):
        network.train()
        of_batches = []
        for chosen in train[torch.randperm(len(train))].split(100):
            loss = torch.nn.functional.cross_entropy(network(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            of_batches.append(loss.item())
        losses.append(sum(of_batches) / len(of_batches))
        network.eval()
        with torch.no_grad():
            right = network(images[validation]).argmax(dim=1) == labels[validation]
        accuracies.append(right.float().mean().item())
    return losses, accuracies
""".strip()


SOLUTIONS = {"recall_of_each_class": _recalls, "validation_split": _split, "training_loop": _learn}
