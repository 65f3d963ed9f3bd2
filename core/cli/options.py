"""Options of a command: read, typed and explained through tyro, with every mistake as one clear line."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from tengen.errors import UserError, did_you_mean
from tengen.typed import describe, is_union

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
    for token, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if token == f"--{name}" and following:
            found = following
        elif token.startswith(f"--{name}="):
            found = token.partition("=")[2]
    return found


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Return whether -h or --help is among the arguments."""
    return "-h" in arguments or "--help" in arguments


def parse(command: Command, options: Sequence[Option], arguments: Sequence[str]) -> Parsed | None:
    """Return the values of options, or None after printing the help that was asked for.

    Dashes and underscores are the same in names; `--x=1` is `--x 1`; a bool is `--x`, `--no-x`, or `--x true`; several
    values are separated by spaces or commas; `none` is None.

    Raises:
        UserError: An option does not exist, lacks a value, or has a wrong one.
    """
    if asks_for_help(arguments):
        _run_tyro(command, options, ["--help"])
        print("\nexamples:\n" + "\n".join(f"  {example}" for example in command.examples))
        return None
    texts = _split(command, options, arguments)
    tokens: list[str] = []
    for option in options:
        if option.name not in texts:
            if option.default is REQUIRED:
                raise UserError(
                    f"{option.shown} is missing: {option.doc[0].lower() + option.doc[1:]} "
                    f"For example `{command.examples[0]}`"
                )
            continue
        tokens += _tokens(option, texts[option.name])
    try:
        result = _run_tyro(command, options, tokens)
    except _Refused as refused:
        culprit = next((option for option in options if option.name == refused.option), None)
        if culprit is None:
            raise UserError(f"{refused} See `{command.prog} --help`") from None
        given = " ".join(texts[culprit.name])
        raise UserError(f"{culprit.shown} must be {describe(culprit.kind)}, got {given!r}") from None
    values = {option.name: _value(result, option) for option in options}
    return Parsed(values, frozenset(texts))


def _split(command: Command, options: Sequence[Option], arguments: Sequence[str]) -> dict[str, list[str]]:
    """Return the texts that each given option was given."""
    named = {option.name: option for option in options if not option.positional}
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
        name, equals, text = token.lstrip("-").partition("=")
        name = name.replace("_", "-")
        option = named.get(name)
        if option is None:
            head, _, tail = name.rpartition(".no-") if ".no-" in name else ("", "", name.removeprefix("no-"))
            option = named.get(f"{head}.{tail}" if head else tail)
            if option is None or option.kind is not bool or equals:
                hint = did_you_mean(f"--{name}", [f"--{known}" for known in named])
                raise UserError(f"there is no option --{name}.{hint} See `{command.prog} --help`")
            texts[option.name] = ["false"]
        elif equals:
            texts[name] = [text]
        elif option.kind is bool:
            texts[name] = [queue.pop(0)] if queue and queue[0].lower() in ("true", "false") else ["true"]
        else:
            texts[name] = []
            while queue and not _is_option(queue[0]) and (option.takes_many or not texts[name]):
                texts[name].append(queue.pop(0))
            if not texts[name] and not option.takes_many:
                raise UserError(f"--{name} needs a value: {describe(option.kind)}")
    return texts


def _is_option(token: str) -> bool:
    return len(token) > 1 and token.startswith("-") and not re.fullmatch(r"-\.?\d.*", token)


def _tokens(option: Option, texts: list[str]) -> list[str]:
    """Return what tyro is given for an option."""
    if option.positional:
        return texts
    if option.kind is bool:
        if texts[0].lower() not in ("true", "false"):
            raise UserError(f"--{option.name} must be true or false, got {texts[0]!r}")
        head, dot, tail = option.name.rpartition(".")
        return [f"--{option.name}" if texts[0].lower() == "true" else f"--{head}{dot}no-{tail}"]
    if option.takes_many:
        texts = [part for text in texts for part in text.split(",") if part]
    if type(None) in _alternatives(option.kind):
        texts = ["None" if text.lower() == "none" else text for text in texts]
    # One token, so that a value may begin with a dash.
    return [f"--{option.name}={texts[0]}"] if len(texts) == 1 else [f"--{option.name}", *texts]


class _Refused(Exception):
    """Tyro refused a value."""

    def __init__(self, box: str) -> None:
        lines = (line.strip("│╭╮╰╯─ ") for line in box.splitlines())
        super().__init__(" ".join(line for line in lines if line))
        named = re.search(r"--([\w.-]+)|argument '([\w.-]+)'", box)
        self.option = (named.group(1) or named.group(2)) if named else None


def _run_tyro(command: Command, options: Sequence[Option], tokens: list[str]) -> Any:
    import tyro

    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(_dataclass_of(options), prog=command.prog, description=command.description, args=tokens)
    except SystemExit as exit_:
        if exit_.code:
            raise _Refused(errors.getvalue()) from None
        return None


def _dataclass_of(options: Sequence[Option]) -> Any:
    """Return a dataclass with a field for each option; those with a dot are in groups of their own."""
    import tyro

    groups: dict[str, list[Option]] = {}
    for option in options:
        groups.setdefault(option.name.rpartition(".")[0], []).append(option)
    fields = [_field(option) for option in groups.pop("", [])]
    for group, members in groups.items():
        kind = dataclasses.make_dataclass(group, [_field(member) for member in members], kw_only=True)
        kind.__doc__ = ""
        fields.append(
            (_group_field(group), Annotated[kind, tyro.conf.arg(name=group)], dataclasses.field(default_factory=kind))
        )
    return dataclasses.make_dataclass("Options", fields, kw_only=True)


def _field(option: Option) -> tuple[str, Any, Any]:
    import tyro

    settings: dict[str, Any] = {"help": option.doc, "metavar": option.metavar or _metavar(option.kind)}
    if option.default is None:
        settings["help_behavior_hint"] = "" if option.metavar else "(default: none)"
    kind = Annotated[
        option.kind, tyro.conf.arg(**{name: value for name, value in settings.items() if value is not None})
    ]
    default = dataclasses.MISSING if option.default is REQUIRED else option.default
    return (
        _field_name(option),
        tyro.conf.Positional[kind] if option.positional else kind,
        dataclasses.field(default=default),
    )


def _metavar(kind: Any) -> str | None:
    """Return what to call the value of an optional option; tyro's own name is fine for others."""
    values = [part for part in _alternatives(kind) if part is not type(None)]
    if not is_union(kind) or not all(isinstance(part, type) for part in values):
        return None
    return "|".join([*(part.__name__.upper() for part in values), "none"])


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if is_union(kind) else (kind,)


def _field_name(option: Option) -> str:
    return option.name.rpartition(".")[2].replace("-", "_")


def _group_field(group: str) -> str:
    return f"{group}_options"


def _value(result: Any, option: Option) -> Any:
    group = option.name.rpartition(".")[0]
    return getattr(getattr(result, _group_field(group)) if group else result, _field_name(option))
