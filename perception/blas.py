"""How many threads the BLAS library behind compiled products of matrices uses."""

from __future__ import annotations

import ctypes
import importlib.util
from functools import cache
from pathlib import Path


@cache
def use_one_thread() -> bool:
    """Let scipy's BLAS, which numba calls for `np.dot`, compute in the calling thread, in this process from now on.

    The matrices of small networks are not worth waiting for a second thread, least of all on a busy machine. numpy's
    own BLAS and torch's are left as they are.

    Returns:
        Whether the library was found: scipy's wheels bring OpenBLAS along. Others go by environment variables.
    """
    spec = importlib.util.find_spec("scipy")
    if spec is None or spec.origin is None:
        return False
    package = Path(spec.origin).parent
    for folder in (package.parent / "scipy.libs", package / ".libs", package / ".dylibs"):
        for path in sorted(folder.glob("*openblas*")):
            library = ctypes.CDLL(str(path))  # which is loaded already, or will be
            for prefix in ("scipy_", ""):
                for suffix in ("", "64_"):
                    set_num_threads = getattr(library, f"{prefix}openblas_set_num_threads{suffix}", None)
                    if set_num_threads is not None:
                        set_num_threads(1)
                        return True
    return False
