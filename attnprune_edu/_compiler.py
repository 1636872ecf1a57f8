"""Let a network be trained without importing torch's compiler.

The first optimiser and the first ``TorchDispatchMode`` of a process import ``torch._dynamo``, the front end of
``torch.compile``, with sympy and 800 other modules: as much work as ``import torch`` itself. All they want is to tell the
compiler what it must not follow (``torch/_compile.py``, ``torch/optim/optimizer.py``), and as long as nobody compiles there
is nobody to tell.

So a stand-in takes the place of ``torch._dynamo``. It notes what must not be followed, and gives way to the real module as
soon as anything else is asked of it, be it an attribute (``torch.compile`` and ``torch.export`` ask for several) or a
submodule. From then on everything is as if the real module had been there from the start.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from weakref import WeakKeyDictionary

import torch

_NAME = "torch._dynamo"


def put_off_compiler() -> bool:
    """Put a stand-in where ``torch._dynamo`` will be, until somebody needs the compiler; True if one stands there now.

    Nothing is done, and False returned, if this torch has no such module or it has been imported already.
    """
    if _NAME not in sys.modules and (spec := importlib.util.find_spec(_NAME)):
        stand_in = _StandIn(spec)
        sys.modules[_NAME] = torch._dynamo = stand_in
        sys.meta_path.insert(0, _Submodules(stand_in))
    return isinstance(sys.modules.get(_NAME), _StandIn)


class _StandIn(ModuleType):
    """What ``torch._dynamo`` is as long as nobody compiles."""

    def __init__(self, spec: ModuleSpec):
        super().__init__(_NAME)
        # Tools ask these of every module, such as `inspect`, which looks for the file that a function comes from.
        self.__spec__, self.__file__, self.__path__ = spec, spec.origin, spec.submodule_search_locations
        self._not_followed = WeakKeyDictionary()  # {function: does that hold for what it calls, too}

    def graph_break(self, *_, **__) -> None:
        """Do nothing: there is no graph to break."""

    def disable(self, fn: Callable | None = None, recursive: bool = True, **options) -> Callable:
        """Return ``fn`` and note that it must not be followed; hand over to the real ``disable`` if somebody else asks.

        torch's own functions, which alone say ``wrapping=False``, keep what they get as an attribute of ``fn``.
        """
        if options != {"wrapping": False}:
            return self._give_way().disable(fn, recursive, **options)
        self._not_followed[fn] = recursive
        return fn

    def __getattr__(self, name: str):
        return getattr(self._give_way(), name)

    def __dir__(self) -> list[str]:
        return dir(self._give_way())

    def _give_way(self) -> ModuleType:
        """Import the real module in the place of this one, and return it."""
        if sys.modules.get(_NAME) is not self:  # it is being imported
            return importlib.import_module(_NAME)
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Submodules)]
        del sys.modules[_NAME], torch._dynamo
        real = importlib.import_module(_NAME)
        for fn, recursive in self._not_followed.items():
            for name in [name for name, value in vars(fn).items() if value is fn]:
                setattr(fn, name, real.disable(fn, recursive, wrapping=False))
        # Whoever holds the stand-in, by `from torch import _dynamo`, now finds in it what everybody else has.
        self.__class__ = ModuleType
        vars(self).clear()
        vars(self).update(vars(real))
        return real


class _Submodules:
    """Finds ``torch._dynamo.x`` while the stand-in stands: the real package must come first, and mostly brings x with it.

    What it brought must not be executed a second time, as the import system would do. So it gets a spec for a moment that
    makes the import system take it as it is.
    """

    def __init__(self, stand_in: _StandIn):
        self.stand_in = stand_in

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        """Return the spec of the submodule ``name``; None for every other module."""
        if not name.startswith(f"{_NAME}."):
            return None
        self.stand_in._give_way()
        if name not in sys.modules:
            return importlib.util.find_spec(name)
        submodule = vars(sys.modules[name])
        submodule["__spec__"] = ModuleSpec(name, self, loader_state=submodule["__spec__"])
        return submodule["__spec__"]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the submodule that is there."""
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """Give the submodule its own spec back."""
        vars(module)["__spec__"] = module.__spec__.loader_state
