"""The pages of the library's reference: every public name with its signature and its docstring, a page for each folder."""

import ast
import inspect
import re
import textwrap
from collections import defaultdict
from dataclasses import is_dataclass
from importlib import import_module
from types import FunctionType

from sphinx.util.inspect import stringify_signature

import attnprune_edu as ap

FOLDERS = ("data", "networks", "pruning", "report", "experiments", "plots", "widgets", "checks", "quizzes")
MODULES = ("plots", "widgets", "checks")  # public names that hold further ones


def reference_pages() -> dict[str, str]:
    """{page name: its text in MyST Markdown}, the first of them with links to the others."""
    members = defaultdict(dict)
    for name in sorted(set(ap.__all__) - set(MODULES)):
        members[folder_of(getattr(ap, name))][f"ap.{name}"] = getattr(ap, name)
    for folder in MODULES:
        module = getattr(ap, folder)
        members[folder] |= {
            f"ap.{folder}.{name}": getattr(module, name)
            for name in module.__all__
            if callable(getattr(module, name)) and name not in ap.__all__
        }
    public = {name for found in members.values() for name in found}
    pages = {f"reference_{folder}": page(folder, members[folder], public) for folder in FOLDERS}
    contents = "\n".join(f"- [{folder.capitalize()}](reference_{folder}.md): {about(folder)[0]}" for folder in FOLDERS)
    return {"reference": f"# The library\n\n{inspect.getdoc(ap)}\n\n{contents}\n"} | pages


def folder_of(member: type | FunctionType) -> str:
    """The folder of the package that defines ``member``."""
    return member.__module__.split(".")[1]


def page(folder: str, members: dict[str, type | FunctionType], public: set[str]) -> str:
    """The page of one folder: what its ``__init__.py`` says, and an entry for each of its ``members``."""
    entries = [entry(name, member, public - {name}) for name, member in members.items()]
    return "\n\n".join([f"# {folder.capitalize()}", *about(folder), *entries]) + "\n"


def about(folder: str) -> list[str]:
    """The paragraphs that a folder's ``__init__.py`` begins with."""
    return inspect.getdoc(import_module(f"attnprune_edu.{folder}")).split("\n\n")


def entry(name: str, member: type | FunctionType, public: set[str]) -> str:
    """The entry of a class, with its methods, or of a function."""
    if not inspect.isclass(member):
        return directive("py:function", name + signature(member), described(member, member, public))
    parts = [described(member, member, public)]
    for method, value in vars(member).items():
        function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if method.startswith("_") or not getattr(function, "__doc__", None):
            continue
        if isinstance(function, property):
            parts.append(directive("py:property", method, described(function, function.fget, public)))
        elif isinstance(function, FunctionType):
            option = "" if function is value else f":{type(value).__name__}:\n\n"
            text = option + described(function, function, public)
            parts.append(directive("py:method", method + signature(function), text))
    return directive("py:class", name + signature(member), "\n\n".join(parts), fence="``````")


def directive(kind: str, header: str, content: str, fence: str = "`````") -> str:
    """A MyST directive."""
    return f"{fence}{{{kind}}} {header}\n{content}\n{fence}"


def signature(member: type | FunctionType) -> str:
    """The arguments as the code writes them, which names types and defaults better than what Python made of them."""
    function = member.__init__ if inspect.isclass(member) else member
    if not inspect.isfunction(function) or is_dataclass(member):  # there is no code that a person wrote
        made = stringify_signature(inspect.signature(member), show_return_annotation=False, unqualified_typehints=True)
        return re.sub(r"<\w+ ([\w.]+)>", r"\1", made)
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    for arguments in (node.args.posonlyargs, node.args.args):
        arguments[:] = [argument for argument in arguments if argument.arg not in ("self", "cls")]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and not inspect.isclass(member) else ""
    return f"({ast.unparse(node.args)}){returns}"


def described(member: object, function: type | FunctionType, public: set[str]) -> str:
    """The docstring; each public name in it that is not an argument of ``function`` leads to its entry."""
    own = inspect.signature(function).parameters

    def linked(match: re.Match) -> str:
        name = f"ap.{match[1].removeprefix('ap.')}"
        return f"{{py:obj}}`{match[1]} <{name}>`" if name in public and match[1] not in own else match[0]

    # Code after `::` is indented, which Markdown takes for code without being told.
    text = re.sub(r"^::\n|(?<=:):$", "", inspect.getdoc(member), flags=re.MULTILINE)
    return re.sub(r"``([\w.]+)``", linked, text)
