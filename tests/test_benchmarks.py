"""The scripts behind the figures: each can be imported as it is, and says how it is called."""

import ast
import runpy
import sys

import pytest
from conftest import ROOT

SCRIPTS = {path.stem: path for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text(encoding="utf-8")}


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_every_script_says_how_it_is_called(name, monkeypatch, capsys):
    monkeypatch.syspath_prepend(SCRIPTS[name].parent)  # as Python does for a script
    monkeypatch.setattr(sys, "argv", [SCRIPTS[name].name, "--help"])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(SCRIPTS[name]), run_name="__main__")
    assert left.value.code == 0
    first = ast.get_docstring(ast.parse(SCRIPTS[name].read_text(encoding="utf-8"))).splitlines()[0]
    assert first in capsys.readouterr().out
