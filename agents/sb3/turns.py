"""Two threads that take turns: whoever calls a library's endless loop can have it go on one step at a time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any


class _Stopped(BaseException):
    """Ends the partner's thread from within; not an Exception, so that nothing on its way takes it for one."""


class Partner:
    """Runs a function in a thread of its own, of which and its owner only one ever runs.

    The owner calls `go_on(value)`, which returns what the function next hands to `hand_over`, or None once it has
    returned. Inside, `hand_over` returns the owner's value. So what both do is in one fixed order.

    Args:
        function: Calls `hand_over` whenever it wants something of its owner.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function
        self._owners_turn, self._partners_turn = threading.Lock(), threading.Lock()
        self._owners_turn.acquire()
        self._partners_turn.acquire()
        self._given: Any = None
        self._handed: Any = None
        self._error: BaseException | None = None
        self._stopping = False
        self.done = False
        self._thread = threading.Thread(target=self._run, name="stable-baselines3", daemon=True)
        self._thread.start()

    def go_on(self, value: Any = None) -> Any:
        """Give the partner a value and the turn; return what it hands over, or None where it is done.

        Raises:
            BaseException: Whatever the function raised.
        """
        assert not self.done, "the function has returned"
        self._given = value
        self._partners_turn.release()
        self._owners_turn.acquire()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self._handed

    def hand_over(self, value: Any) -> Any:
        """Give the owner a value and the turn, and return what it gives in turn. Only for the function itself."""
        self._handed = value
        self._owners_turn.release()
        self._partners_turn.acquire()
        if self._stopping:
            raise _Stopped
        return self._given

    def stop(self) -> None:
        """End the thread, if it has not come to its end by itself. May be called by the owner, more than once."""
        if not self.done and not self._stopping:
            self._stopping = True
            with contextlib.suppress(RuntimeError):  # it holds the turn: only where the owner was interrupted
                self._partners_turn.release()

    def _run(self) -> None:
        self._partners_turn.acquire()
        try:
            if not self._stopping:
                self._function()
        except _Stopped:
            pass
        except BaseException as error:  # the owner's to deal with, whatever it is
            self._error = error
        self.done = True
        self._handed = None
        self._owners_turn.release()
