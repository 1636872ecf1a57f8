"""Lesson 05: the answers to every student's own numbers, as code for the cell with the blank."""


def _weight(momentum: float, learning_rate: float, buffer: float) -> str:
    weight = -learning_rate * (momentum + momentum**2) * buffer
    return f"answer_1 = {round(weight, 10)}"


def _ratio(times: float, more: int) -> str:
    return f"""
def safe_ratio(curve, lost):
    safe = 0.0
    for ratio in sorted(curve):
        if curve[0.0] - curve[ratio] > {times} * lost + {more}:
            break
        safe = ratio
    return safe
""".strip()


def _convolution(constant: float) -> str:
    return f"""
class MaskedConv2d(torch.nn.Module):
    def __init__(self, conv, keep):
        super().__init__()
        self.weight = torch.nn.Parameter(conv.weight.detach().clone())
        self.bias = torch.nn.Parameter(conv.bias.detach().clone())
        self.register_buffer("keep", keep.clone())
        self.stride, self.padding = conv.stride, conv.padding

    def forward(self, images):
        weight = torch.where(self.keep[:, None, None, None], self.weight, 0.0)
        bias = torch.where(self.keep, self.bias, {constant})
        return torch.nn.functional.conv2d(images, weight, bias, self.stride, self.padding)
""".strip()


SOLUTIONS = {"weight_after_two_steps": _weight, "safe_ratio": _ratio, "masked_convolution": _convolution}
