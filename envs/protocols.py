"""Atari protocols: named sets of rules under which a game is trained on and evaluated.

A protocol is a TOML file in `tengen/presets/protocols/`, where each knob carries its source. Units: a *frame* is 1/60 s
of play, a *step* is one decision of the agent: `frame_skip` frames. Standard library only.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from tengen.errors import UserError, did_you_mean

DEFAULT_PROTOCOL = "nature2015"

_MOST = {
    "frame_skip": 1_000,
    "frame_stack": 100,
    "screen_size": 1_000,
    "noop_max": 10_000,
    "max_frames": 2**31 - 1,
}
"""The largest value of each whole number: what the emulator can count, and memory and patience can bear."""


@dataclass(frozen=True)
class AtariProtocol:
    """Everything that decides what an Atari game shows to an agent, and how it is scored."""

    name: str
    """Its name; one that was changed says how, e.g. `nature2015 (sticky_action_probability=0.25)`."""
    reference: str
    """The paper it comes from."""
    sticky_action_probability: float
    """The chance in each frame that the emulator repeats the last frame's action instead of taking the new one."""
    frame_skip: int
    """Frames that an action is repeated for."""
    max_pool: bool
    """Show the pixelwise maximum of a step's last two frames, against flickering sprites."""
    frame_stack: int
    """Pictures in an observation, newest last."""
    screen_size: int
    """Height and width of a picture in pixels."""
    grayscale: bool
    """Luminance only, instead of RGB."""
    full_action_set: bool
    """All 18 actions, instead of those that the game uses."""
    fire_reset: bool
    """Press FIRE at a game's start, where the game has it."""
    training_noop_max: int
    """The largest number of frames without action at a training game's start; drawn uniformly from 0 to it."""
    training_life_loss_ends_value: bool
    """A life loss has discount 0 while training; the game plays on."""
    training_clip_rewards: bool
    """Rewards are clipped to [-1, 1] while training; the TimeStep's `score` keeps the game's own."""
    training_max_frames: int
    """Frames after which a training game is truncated, no-ops not counted."""
    evaluation_noop_max: int
    """As `training_noop_max`, for evaluation games."""
    evaluation_max_frames: int
    """Frames after which an evaluation game is truncated, no-ops not counted."""
    evaluation_epsilon: float
    """The chance of a uniformly random action in each step of an evaluation."""
    wrappers: str = "ale"
    """Who makes pictures of the console's: ale, ALE's own vector environment; sb3, stable-baselines3's wrappers."""

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(self.name, field.name, getattr(self, field.name), str(field.type))
        if self.wrappers not in ("ale", "sb3"):
            raise UserError(f"the protocol {self.name!r} has wrappers = {self.wrappers!r}, expected 'ale' or 'sb3'")

    def with_changes(self, **changes: Any) -> AtariProtocol:
        """Return a copy with other values in some fields, and a name that says so.

        Raises:
            UserError: A field does not exist, or its value has the wrong type or range.
        """
        known = [field.name for field in fields(self) if field.name not in ("name", "reference")]
        for key in changes:
            if key not in known:
                raise UserError(
                    f"a protocol has no field {key!r}.{did_you_mean(key, known)} Its fields: {', '.join(known)}."
                )
        differing = {key: value for key, value in changes.items() if getattr(self, key) != value}
        if not differing:
            return self
        listed = ", ".join(f"{key}={value}" for key, value in sorted(differing.items()))
        return replace(self, **differing, name=f"{self.name} ({listed})")


def _check(protocol: str, key: str, value: Any, type_name: str) -> None:
    smallest = 0 if "noop" in key else 1
    largest = _MOST.get(key.removeprefix("training_").removeprefix("evaluation_"), 0)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits, expected = {
        "str": (isinstance(value, str), "a text"),
        "bool": (isinstance(value, bool), "true or false"),
        "int": (
            number and isinstance(value, int) and smallest <= value <= largest,
            f"a whole number from {smallest} to {largest}",
        ),
        "float": (number and 0 <= value <= 1, "a probability from 0 to 1"),
    }[type_name]
    if not fits:
        raise UserError(f"the protocol {protocol!r} has {key} = {value!r}, expected {expected}")


def protocol_names() -> list[str]:
    """Return the names of the protocols that come with Tengen, sorted."""
    folder = resources.files("tengen.presets") / "protocols"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_protocol(name: str | Mapping[str, Any]) -> AtariProtocol:
    """Return a protocol by its name, from a file of one's own where `name` ends in `.toml`, or from its knobs.

    Raises:
        UserError: No protocol has this name, or its file is unreadable or malformed.
    """
    if not isinstance(name, str):
        return _make(name)
    if name.endswith(".toml"):
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"the protocol file {name!r} can't be read: {error}") from error
        return _parse(Path(name).stem, text)
    known = protocol_names()
    if name not in known:
        raise UserError(
            f"no protocol is called {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}, "
            "or a file that ends in .toml."
        )
    entry = resources.files("tengen.presets") / "protocols" / f"{name}.toml"
    return _parse(name, entry.read_text(encoding="utf-8"))


def with_content(protocol: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    """Return a protocol with each knob in place of the file that it is in: the file may change, or be elsewhere.

    Raises:
        UserError: The file is unreadable or malformed.
    """
    if isinstance(protocol, str) and protocol.endswith(".toml"):
        return asdict(load_protocol(protocol))
    return protocol


def _parse(name: str, text: str) -> AtariProtocol:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"the protocol {name!r} is not a TOML file: {error}") from error
    values: dict[str, Any] = {"name": name}
    for section, content in table.items():
        if section == "reference":
            values["reference"] = content
        elif section in ("game", "training", "evaluation") and isinstance(content, dict):
            if "name" in content:
                raise UserError(f"the protocol {name!r} has an unknown name; compare with nature2015.toml")
            prefix = "" if section == "game" else f"{section}_"
            values.update({prefix + key: value for key, value in content.items()})
        else:
            raise UserError(
                f"the protocol {name!r} has {section!r}, "
                "expected `reference` and the sections game, training, evaluation"
            )
    return _make(values)


def _make(values: Mapping[str, Any]) -> AtariProtocol:
    known = {field.name for field in fields(AtariProtocol)}
    if not known - {"wrappers"} <= values.keys() <= known:
        wrong = [f"lacks {key}" for key in sorted(known - {"wrappers"} - values.keys())]
        wrong += [f"has an unknown {key}" for key in sorted(values.keys() - known)]
        name = values.get("name", "unnamed")
        raise UserError(f"the protocol {name!r} {', '.join(wrong)}; compare with nature2015.toml")
    return AtariProtocol(**values)
