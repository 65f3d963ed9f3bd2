"""One numba decorator, `njit`, whose cache on disk notices when a kernel's callee in another file was edited.

Numba's own cache looks at the file of the function alone: after an edit of a callee in another file it goes on running
the old code, silently. Here the cache folder of a module's kernels is named by a digest of the module's source and of
all sources that it imports, within its own top-level package and `tengen`. Kernels call others that were imported by
name; one passed as an argument or closed over is never cached by numba.

A kernel module imports numpy, this module and other kernel modules only. With `NUMBA_DISABLE_JIT=1` kernels are plain
Python.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.util
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, cast, overload

import numba
import numpy as np
from numba import extending
from numba.core import event

_Function = TypeVar("_Function", bound=Callable[..., Any])
_config: Any = numba.config  # its settings are set by name, out of mypy's sight
_config_lock = threading.Lock()

# A division by zero gives inf or NaN as in numpy: where kernels could raise, numba counts references at each step.
_OPTIONS: dict[str, Any] = {"error_model": "numpy"}


@overload
def njit(function: _Function, /) -> _Function: ...
@overload
def njit(*, makes_arrays: bool = ..., **options: Any) -> Callable[[_Function], _Function]: ...
def njit(
    function: _Function | None = None, /, *, makes_arrays: bool = True, **options: Any
) -> _Function | Callable[[_Function], _Function]:
    """Compile a function with numba and keep the machine code on disk, where there is a place to write.

    The place is `NUMBA_CACHE_DIR`, else `tengen/kernels` in the user's cache folder (`XDG_CACHE_HOME`, `~/.cache`).
    Where it can't be written, kernels compile anew in each process.

    Args:
        function: The kernel.
        makes_arrays: It allocates arrays, returns one, or calls what does. Else numba need not count references, which
            takes most of the time of a small kernel.
        **options: Passed to `numba.njit`.
    """
    if not makes_arrays:
        options["_nrt"] = False  # numba's run time, which allocates and counts
    if function is None:
        return lambda function: _compile(function, options)
    return _compile(function, options)


def _compile(function: _Function, options: dict[str, Any]) -> _Function:
    if _config.DISABLE_JIT:
        return function
    folder = _cache_folder(function.__module__)
    with _config_lock:  # numba reads the setting while it decorates; others who use numba keep theirs
        before = _config.CACHE_DIR
        try:
            if folder is not None:
                _config.CACHE_DIR = str(folder)
            compiled: _Function = numba.njit(cache=folder is not None, **{**_OPTIONS, **options})(function)
        finally:
            _config.CACHE_DIR = before
    return compiled


@contextlib.contextmanager
def on_compilation(tell: Callable[[], None]) -> Iterator[None]:
    """Call a function once as soon as anything is compiled within the block, and never where all comes from disk."""
    with event.install_listener("numba:compile", _First(tell)):
        yield


class _First(event.Listener):
    """Calls a function at the first event."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell: Callable[[], None] | None = tell

    def on_start(self, _: Any) -> None:
        tell, self._tell = self._tell, None
        if tell is not None:
            tell()

    def on_end(self, _: Any) -> None:
        pass


class GenericKernel(Protocol):
    """A function that has an implementation for each kind of its first argument; made by `generic`."""

    def __call__(self, first: Any, *rest: Any) -> Any:
        """Call the implementation for the first argument's class."""
        ...

    def register(self, kind: type[Any], *, makes_arrays: bool = False) -> Callable[[_Function], _Function]:
        """Return a decorator that makes a kernel the implementation for a NamedTuple class.

        Args:
            kind: The class.
            makes_arrays: As for `njit`.
        """
        ...


def generic(signature: Callable[..., Any]) -> GenericKernel:
    """Return a function whose implementation is chosen by the class of its first argument, a NamedTuple.

    Numba knows the class when it compiles a call, so that the choice costs nothing at run time: one compiled loop can
    serve many kinds of learners, and is cached, which it would not be with a kernel passed as an argument. A module
    that compiles calls must import every module that registers an implementation: then the cache notices their edits.

    Args:
        signature: Gives the parameters' names and the documentation; its body is not used.
    """
    kernels: dict[type[Any], Callable[..., Any]] = {}
    making_arrays: set[type[Any]] = set()

    def call(first: Any, *rest: Any) -> Any:
        return kernels[type(first)](first, *rest)

    def register(kind: type[Any], *, makes_arrays: bool = False) -> Callable[[_Function], _Function]:
        def decorate(kernel: _Function) -> _Function:
            kernels[kind] = kernel
            if makes_arrays:
                making_arrays.add(kind)
            return kernel

        return decorate

    def chooser(makes_arrays: bool) -> Callable[..., Any]:
        def choose(first: Any, *rest: Any) -> Callable[..., Any] | None:
            kind = getattr(first, "instance_class", object)
            kernel = kernels.get(kind) if (kind in making_arrays) == makes_arrays else None
            return getattr(kernel, "py_func", kernel)

        functools.update_wrapper(choose, signature)  # numba wants the same parameters here and in the kernels
        return choose

    functools.update_wrapper(call, signature)
    if not _config.DISABLE_JIT:
        for makes_arrays in (False, True):
            # forceinline: a call with all its arrays costs more than many a body
            options: Any = {**_OPTIONS, "forceinline": True, "_nrt": makes_arrays}
            extending.overload(call, strict=False, jit_options=options)(chooser(makes_arrays))  # annotations may differ
    call.register = register  # type: ignore[attr-defined]  # a function may have attributes
    return cast(GenericKernel, call)


@cache
def _cache_folder(module: str) -> Path | None:
    """Return the writable cache folder of a module's kernels, or None where there is no such place."""
    sources = _sources(module)
    if not sources:
        return None
    digest = hashlib.sha256(f"{sys.version} numba {numba.__version__} numpy {np.__version__}".encode())
    for name in sorted(sources):
        digest.update(f"\0{name}\0{sources[name]}".encode())
    try:
        folder = _cache_root() / f"{module}-{digest.hexdigest()[:16]}"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):  # RuntimeError: there is no home directory
        return None


def _cache_root() -> Path:
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return Path(chosen)
    user = os.environ.get("XDG_CACHE_HOME")
    return (Path(user) if user else Path.home() / ".cache") / "tengen" / "kernels"


def _sources(module: str) -> dict[str, str]:
    """Return the sources of a module and of all it imports from its own package and from `tengen`, by name.

    Modules are found through the import system, not by listing folders, so that a wheel and both kinds of editable
    install (where sub-packages lie elsewhere) work alike. Empty if the module itself has no source to find.
    """
    families = {module.partition(".")[0], __name__.partition(".")[0]}
    sources: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        found = None if name in sources else _read(name)
        if found is None:
            continue
        sources[name] = found.source
        for base, names in found.imports:
            if base.partition(".")[0] in families:
                waiting.append(base)
                parent = _read(base)
                if parent is not None and parent.is_package:  # else `names` are no modules, and looking imports `base`
                    waiting.extend(f"{base}.{imported}" for imported in names)
    return sources


class _Module(NamedTuple):
    """What is read of a module without importing it."""

    source: str
    is_package: bool
    imports: tuple[tuple[str, tuple[str, ...]], ...]  # modules, and of `from a import b, c` the names


@cache
def _read(module: str) -> _Module | None:
    """Return a module as its file has it; None if there is no source to read."""
    try:
        spec = importlib.util.find_spec(module)
        source = spec.loader.get_source(module) if spec and spec.loader else None  # type: ignore[attr-defined]  # of source loaders
    except (ImportError, ValueError, AttributeError, OSError):  # not a module, `__main__`, or nothing to read
        return None
    if spec is None or source is None:
        return None
    is_package = spec.submodule_search_locations is not None
    return _Module(source, is_package, tuple(_imports(ast.parse(source), spec.parent or "")))


def _imports(tree: ast.AST, package: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the modules that are imported with a source, and what it takes from them by name.

    Left out is what is imported for type checkers only (there a package names all that it exports), or within functions
    (what those import is not there yet when kernels are defined).
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = importlib.util.resolve_name("." * node.level + base, package)
            yield base, tuple(alias.name for alias in node.names)
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from _imports(ast.Module(node.orelse, []), package)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.expr):
            yield from _imports(node, package)
