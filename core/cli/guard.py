"""How a program ends: one clear line and an exit code, where a user or the machine is the cause, and no traceback."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

_MACHINE_ERRORS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG),
    *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),  # a path that can't be
}
"""What the machine refuses: no mistake in the program, so no traceback."""

_OUT_OF_MEMORY = "allocate memory", "out of memory", "size calculation overflowed", "array is too big"
"""As torch says it, and numpy where an array's bytes can't even be counted."""


def guarded(program: Callable[[], int | None]) -> int:
    """Run a program; return its exit code: its own (None is 0), 2: bad input, a full disk, 128 + N: signal N."""
    from tengen.errors import UserError

    try:
        code = program() or 0
        sys.stdout.flush()
        return code
    except UserError as error:
        return _complain(str(error), 2)
    except BrokenPipeError:  # whoever read our output has seen enough
        return _hush()
    except OSError as error:
        if error.errno not in _MACHINE_ERRORS:
            raise
        return _complain(f"{error}; what was saved before is intact", 2)
    except MemoryError as error:
        return _complain_of_memory(error)
    except (RuntimeError, ValueError) as error:
        if any(words in str(error) for words in _OUT_OF_MEMORY):
            return _complain_of_memory(error)
        raise
    except KeyboardInterrupt:
        return _complain("interrupted", 130)


def _complain_of_memory(error: Exception) -> int:
    return _complain(f"out of memory ({error}): ask for less, such as a smaller replay or fewer environments", 2)


def _complain(message: str, code: int) -> int:
    """Print one line on standard error, whatever a library put into its message, and return the exit code."""
    print(f"tengen: error: {' '.join(message.split())}", file=sys.stderr)
    return code


def _hush() -> int:
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at its end
    return 128 + 13
