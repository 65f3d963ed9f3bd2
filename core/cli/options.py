"""Options of a command: read, typed and explained through tyro, with every mistake as one clear line."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from tengen.errors import UserError, did_you_mean
from tengen.typed import describe, is_union

_ANNOTATED: Any = Annotated  # of types that are only known at run time
_UNION: Any = Union

_PLAIN = (str, int, float, Path)
"""Types that read a text by themselves: importing tyro for them would take a tenth of a second."""

REQUIRED: Any = object()
"""Stands for the default of an option that has none."""


@dataclass(frozen=True)
class Option:
    """Something that a command takes.

    Attributes:
        name: As it is written, without the dashes in front: `agent.learning-rate`.
        kind: Its type.
        doc: What it is, in a line.
        default: Its value unless given.
        metavar: What to call its value in the help.
        positional: It is written without its name.
    """

    name: str
    kind: Any
    doc: str
    default: Any = REQUIRED
    metavar: str | None = None
    positional: bool = False

    @property
    def shown(self) -> str:
        """How messages call it."""
        return self.name.upper() if self.positional else f"--{self.name}"

    @property
    def takes_many(self) -> bool:
        """Whether it takes any number of values."""
        return any(get_origin(kind) in (tuple, list) for kind in _alternatives(self.kind))

    @property
    def adds_up(self) -> bool:
        """Whether its values add up where it is repeated: a list of names does, numbers are one value together."""
        return self.takes_many and any(get_args(kind)[:1] in ((str,), (Path,)) for kind in _alternatives(self.kind))


@dataclass(frozen=True)
class Command:
    """A command's name, what it does, and how it is used."""

    prog: str
    description: str
    examples: Sequence[str]


@dataclass(frozen=True)
class Parsed:
    """Values by option name, and which of them were given."""

    values: Mapping[str, Any]
    given: frozenset[str]


def peek(arguments: Sequence[str], name: str) -> str | None:
    """Return the text that an option was given, before options are known; the last one counts."""
    found = None
    for token, following in pairwise([*arguments, ""]):
        option, equals, text = token.partition("=")
        if option.replace("_", "-") == f"--{name}":
            found = text if equals else following
    return found


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Return whether -h or --help is among the arguments."""
    return "-h" in arguments or "--help" in arguments


def parse(command: Command, options: Sequence[Option], arguments: Sequence[str]) -> Parsed | None:
    """Return the values of options, or None after printing the help that was asked for.

    Dashes and underscores are the same in names; `--x=1` is `--x 1`; a bool is `--x`, `--no-x`, or `--x true`; several
    values are separated by spaces or commas; `none` is None. Of a repeated option the last one counts; only the values
    of one that takes many names (of environments, files, assignments) add up.

    Raises:
        UserError: An option does not exist, lacks a value, or has a wrong one.
    """
    if asks_for_help(arguments):
        _print_help(command, options)
        return None
    texts = _split(command, options, arguments)
    values: dict[str, Any] = {}
    for option in options:
        if option.name in texts:
            values[option.name] = _typed(option, texts[option.name])
        elif option.default is REQUIRED:
            raise UserError(
                f"{option.shown} is missing: {option.doc[0].lower()}{option.doc[1:]} As in `{command.examples[0]}`"
            )
        else:
            values[option.name] = option.default
    return Parsed(values, frozenset(texts))


def _split(command: Command, options: Sequence[Option], arguments: Sequence[str]) -> dict[str, list[str]]:
    """Return the texts that each given option was given."""
    named = {option.name: option for option in options if not option.positional}
    negated = {_negated(option.name): option for option in named.values() if option.kind is bool}
    free = [option for option in options if option.positional]
    texts: dict[str, list[str]] = {}
    queue = list(arguments)
    while queue:
        token = queue.pop(0)
        if not _is_option(token):
            if not free:
                raise UserError(f"unexpected argument {token!r}: see `{command.prog} --help`")
            texts[free.pop(0).name] = [token]
            continue
        written, equals, text = token.partition("=")
        name = written.lstrip("-").replace("_", "-")
        if name in negated and not equals:
            texts[negated[name].name] = ["false"]
        elif name not in named or not written.startswith("--"):
            hint = did_you_mean(f"--{name}", [f"--{known}" for known in named])
            raise UserError(f"there is no option {written}.{hint} See `{command.prog} --help`")
        else:
            taken = [text] if equals else _take(named[name], queue)
            before = texts.get(name, []) if named[name].adds_up and taken else []  # without a value it takes all back
            texts[name] = before + taken
    return texts


def _take(option: Option, queue: list[str]) -> list[str]:
    """Take an option's values off the queue."""
    if option.kind is bool:
        return [queue.pop(0)] if queue and queue[0].lower() in ("true", "false") else ["true"]
    taken: list[str] = []
    while queue and not _is_option(queue[0]) and (option.takes_many or not taken):
        taken.append(queue.pop(0))
    if not taken and not option.takes_many:
        raise UserError(f"{option.shown} needs a value: {describe(option.kind)}")
    return taken


def _negated(name: str) -> str:
    head, dot, tail = name.rpartition(".")
    return f"{head}{dot}no-{tail}"


def _is_option(token: str) -> bool:
    return len(token) > 1 and token.startswith("-") and not re.fullmatch(r"-\.?\d.*", token)


def _typed(option: Option, texts: list[str]) -> Any:
    """Return texts as the option's type."""
    given = " ".join(texts)
    if option.takes_many:
        texts = [part for text in texts for part in text.split(",") if part]
    if option.kind is bool:
        texts = [text.capitalize() for text in texts]
    if type(None) in _alternatives(option.kind):
        texts = ["None" if text.lower() == "none" else text for text in texts]
    try:
        if option.kind in _PLAIN and len(texts) == 1:
            return option.kind(texts[0])
        import tyro

        with contextlib.redirect_stderr(io.StringIO()):
            return tyro.cli(option.kind, args=texts, add_help=False)
    except (SystemExit, ValueError):
        raise UserError(f"{option.shown} must be {describe(option.kind)}, got {given!r}") from None


def _print_help(command: Command, options: Sequence[Option]) -> None:
    import tyro

    groups: dict[str, list[Option]] = {}
    for option in options:
        groups.setdefault(option.name.rpartition(".")[0], []).append(option)
    fields = [_help_field(option) for option in groups.pop("", [])]
    for group, members in groups.items():
        kind = dataclasses.make_dataclass(group, [_help_field(member) for member in members], kw_only=True)
        kind.__doc__ = ""
        named = _ANNOTATED[kind, tyro.conf.arg(name=group)]
        fields.append((f"{group}_options", named, dataclasses.field(default_factory=kind)))
    everything = dataclasses.make_dataclass("Options", fields, kw_only=True)
    try:
        tyro.cli(everything, prog=command.prog, description=command.description, args=["--help"])
    except SystemExit:
        print("\nexamples:\n" + "\n".join(f"  {example}" for example in command.examples))


def _help_field(option: Option) -> tuple[str, Any, Any]:
    """Return an option as a dataclass's field for tyro to explain."""
    import tyro

    settings: dict[str, Any] = {"help": option.doc}
    kind, default, metavar = option.kind, option.default, option.metavar
    if default is None or default == ():
        said = default == () or metavar or "unless" in option.doc  # what happens then
        settings["help_behavior_hint"] = "" if said else "(default: none)"
    # Types that tyro would import typeguard for, to check the default: a third of the time that --help takes.
    if get_origin(kind) in (tuple, list):
        metavar = metavar or f"[{_name(get_args(kind)[0])} ...]"
        kind, default = str, default if default is REQUIRED else " ".join(map(str, default))
    elif is_union(kind):
        values = [part for part in get_args(kind) if part is not type(None)]
        kind, metavar = _UNION[get_args(kind)], metavar or "|".join([*map(_name, values), "none"])
    settings |= {"metavar": metavar} if metavar else {}
    kind = _ANNOTATED[kind, tyro.conf.arg(**settings)]
    return (
        option.name.rpartition(".")[2].replace("-", "_"),
        _positional()[kind] if option.positional else kind,
        dataclasses.field(default=dataclasses.MISSING if default is REQUIRED else default),
    )


def _positional() -> Any:
    import tyro

    return tyro.conf.Positional


def _name(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind)).upper()


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if is_union(kind) else (kind,)
