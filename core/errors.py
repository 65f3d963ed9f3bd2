"""Errors that a user can mend."""


class UserError(ValueError):
    """Something that a user gave is wrong.

    The message is one clear line: the value, what was expected, what to do. The command line prints it and exits
    with code 2, without a traceback.
    """


def diverged(what: str) -> UserError:
    """Return the error of learning whose numbers are no longer finite."""
    return UserError(f"{what}: learning has diverged, lower its step size")


def did_you_mean(name: str, known: list[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest known name, or an empty string."""
    import difflib

    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""
