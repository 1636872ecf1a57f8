"""Learn neural-network pruning with attention by doing it.

data → model → importance → keep → mask → fine-tune → remove → report: a function takes what the step before returned.
What ``ap.…`` offers stands in ``__init__.pyi``; it is imported when it is first asked for, so that a lesson does not wait
for what it does not use.
"""

import lazy_loader

from . import _limits  # the first, to see whether torch has been imported already
from ._compiler import put_off_compiler
from ._torchvision import declare_missing_operators

_limits.lower_threads()
declare_missing_operators()  # before anybody imports torchvision
put_off_compiler()  # before anybody makes an optimiser

__version__ = "1.0.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
