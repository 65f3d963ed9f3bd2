"""The kernels' decorator: what it compiles is never older than the sources."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tengen import _jit

CALLEE = """
from tengen._jit import njit

@njit
def shift(x):
    return x + 1
"""
CALLER = """
{imported}
from tengen._jit import njit

@njit
def twice(x):
    return 2 * shift(x)
"""
REPORT = """
import os
import numba
from tengen.inner.caller import twice
hits = lambda: sum(getattr(twice, "stats").cache_hits.values()) if hasattr(twice, "stats") else "plain Python"
print(twice(10), hits())
assert numba.config.CACHE_DIR == os.environ.get("NUMBA_CACHE_DIR", "")
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the decorator in a package `tengen` of its own, with a caller and a callee in different files."""
    inner = tmp_path / "site" / "tengen" / "inner"
    inner.mkdir(parents=True)
    (inner.parent / "__init__.py").touch()
    (inner / "__init__.py").touch()
    spec = importlib.util.find_spec("tengen._jit")
    assert spec is not None
    assert spec.origin is not None
    (inner.parent / "_jit.py").write_text(Path(spec.origin).read_text())
    (inner / "callee.py").write_text(CALLEE)
    (inner / "caller.py").write_text(CALLER.format(imported="from tengen.inner.callee import shift"))
    return inner.parent


def edit_callee(package: Path) -> None:
    (package / "inner" / "callee.py").write_text(CALLEE.replace("x + 1", "x + 5"))


def run(package: Path, code: str = REPORT, **environment: str) -> str:
    """Run code in a new process that finds the copied package first; return what it prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    # Without bytecode: Python may take an old .pyc for an edit of the same size within the same second.
    ours = {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    ours["XDG_CACHE_HOME"] = str(package.parent.parent / "cache")
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env={**kept, **ours, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_caller_sees_that_its_callee_in_another_file_was_edited(package: Path) -> None:
    assert run(package) == "22 0"
    assert run(package) == "22 1"  # taken from disk
    edit_callee(package)
    assert run(package) == "30 0"


def test_whoever_wants_to_know_is_told_once_that_a_compiler_runs(package: Path) -> None:
    code = """
from tengen._jit import on_compilation
from tengen.inner.caller import twice
with on_compilation(lambda: print("compiling")):
    twice(10)
    twice(0.5)
twice(True)
"""
    assert run(package, code) == "compiling"
    assert run(package, code) == ""  # taken from disk


def test_kernels_of_an_outside_package_are_kept_and_renewed_as_well(package: Path) -> None:
    outside = package.parent / "outside"
    shutil.copytree(package / "inner", outside)
    (outside / "caller.py").write_text(CALLER.format(imported="from .callee import shift"))
    report = REPORT.replace("tengen.inner", "outside")
    assert [run(package, report), run(package, report)] == ["22 0", "22 1"]
    (outside / "callee.py").write_text(CALLEE.replace("x + 1", "x + 5"))
    assert run(package, report) == "30 0"


@pytest.mark.parametrize(
    "imported",
    [
        "from outside.inner.callee import shift",
        "from .callee import shift",
        "from . import callee",
        "from ..inner import callee",
        "from outside.inner import callee as c",
        "import outside.inner.callee as k",
        "from outside.inner.between import shift",
        "if TYPE_CHECKING:\n    import numpy\nelse:\n    from .callee import shift",
        "try:\n    from .callee import shift\nexcept ImportError:\n    pass",
    ],
)
def test_a_callee_is_found_however_it_is_imported(
    package: Path, monkeypatch: pytest.MonkeyPatch, imported: str
) -> None:
    package.rename(package.parent / "outside")
    inner = package.parent / "outside" / "inner"
    (inner / "caller.py").write_text(CALLER.format(imported=imported))
    (inner / "between.py").write_text("from .callee import shift")
    monkeypatch.syspath_prepend(str(package.parent))
    _jit._read.cache_clear()
    try:
        sources = _jit._sources("outside.inner.caller")
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "outside"]:
            del sys.modules[name]
    assert {"outside.inner.caller", "outside.inner.callee", "tengen._jit"} <= set(sources)
    assert "numpy" not in sources


EXPORTS = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from outside.inner.exported import thing\n"


def test_looking_for_sources_imports_no_module(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package.rename(package.parent / "outside")
    inner = package.parent / "outside" / "inner"
    (inner / "__init__.py").write_text(EXPORTS)
    (inner / "exported.py").write_text("thing = 1")
    (inner / "caller.py").write_text(CALLER.format(imported="from outside.inner.callee import shift"))
    monkeypatch.syspath_prepend(str(package.parent))
    _jit._read.cache_clear()
    try:
        assert "outside.inner.exported" not in _jit._sources("outside.inner.caller")
        assert not {"outside.inner.callee", "outside.inner.caller", "outside.inner.exported"} & set(sys.modules)
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "outside"]:
            del sys.modules[name]


def test_without_a_writable_place_kernels_work_and_nothing_is_left_beside_the_sources(package: Path) -> None:
    not_a_folder = package.parent / "file"
    not_a_folder.touch()
    assert run(package, XDG_CACHE_HOME=str(not_a_folder)) == "22 0"
    assert not list(package.rglob("*.nb?"))


def test_the_users_own_numba_folder_is_used(package: Path) -> None:
    folder = package.parent / "chosen"
    assert run(package, NUMBA_CACHE_DIR=str(folder)) == "22 0"
    assert list(folder.rglob("caller.twice-*.nbi"))


def test_with_numba_switched_off_kernels_are_plain_python(package: Path) -> None:
    assert run(package, NUMBA_DISABLE_JIT="1") == "22 plain Python"


def test_a_function_without_a_source_file_is_compiled_all_the_same_with_numbas_options(package: Path) -> None:
    code = "from tengen._jit import njit\n@njit(error_model='numpy')\ndef over(x): return 1.0 / x\nprint(over(0.0))"
    assert run(package, code) == "inf"


@pytest.mark.parametrize("module", ["tengen.replay._kernels"])
def test_a_kernel_module_imports_only_kernel_modules(module: str) -> None:
    assert set(_jit._sources(module)) == {module, "tengen._jit"}
