"""Copies and prefetches of memory for kernels: numba compiles a slice assignment to a loop, and has no prefetch.

Frames of a random sample lie all over memory. Copying them is bound by how fast they come in, and goes a quarter
faster by the C library's `memcpy`, with the pages of the next sample asked for while this one is copied.

Neither function checks bounds when it is compiled. With `NUMBA_DISABLE_JIT=1` both are plain Python.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numba.extending
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]  # has no types
from numba import core
from numpy.typing import NDArray

_config: Any = numba.config  # has no types, or wrong ones
_core: Any = core
_extending: Any = numba.extending

_Bytes: TypeAlias = NDArray[np.uint8]


def copy_bytes(target: _Bytes, i: int, source: _Bytes, j: int, count: int) -> None:
    """Write source[j : j + count] to target[i : i + count]; both lie in one piece, and do not overlap."""
    target[i : i + count] = source[j : j + count]


def prefetch(source: _Bytes, i: int) -> None:
    """Ask for the cache line of source[i], and wait for nothing."""


def _compile_copy_bytes(context: Any, target: Any, i: Any, source: Any, j: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, i, source, j, count = arguments
        target = context.make_array(signature.args[0])(context, builder, target).data
        source = context.make_array(signature.args[2])(context, builder, source).data
        _core.cgutils.raw_memcpy(builder, builder.gep(target, [i]), builder.gep(source, [j]), count, 1)
        return context.get_dummy_value()

    int64 = _core.types.int64
    return _core.types.void(target, int64, source, int64, int64), generate


def _compile_prefetch(context: Any, source: Any, i: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, i = arguments
        source = context.make_array(signature.args[0])(context, builder, source).data
        word, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, word, word, word])
        function = _core.cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        to_read, to_level_two, data = (ir.Constant(word, number) for number in (0, 2, 1))
        builder.call(function, [builder.gep(source, [i]), to_read, to_level_two, data])
        return context.get_dummy_value()

    return _core.types.void(source, _core.types.int64), generate


if not _config.DISABLE_JIT:
    copy_bytes = _extending.intrinsic(_compile_copy_bytes)
    prefetch = _extending.intrinsic(_compile_prefetch)
