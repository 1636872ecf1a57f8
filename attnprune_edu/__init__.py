"""Learn neural-network pruning with attention by doing it.

data → model → importance → keep → mask → fine-tune → remove → report: a function takes what the step before returned.
What ``ap.…`` offers stands in ``__init__.pyi``; it is imported when it is first asked for, so that a lesson does not wait
for what it does not use.
"""

import lazy_loader

from ._torchvision import declare_missing_operators

declare_missing_operators()  # before anybody imports torchvision

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
