"""Networks over boards as single files: safetensors, with all that is needed to use them in the metadata as JSON.

Loading a file never executes anything of it: the architecture is one of those named here, its parameters are numbers,
and the weights are plain arrays.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Final

import safetensors
import safetensors.numpy
import torch
from torch import nn

from tengen.checkpoint import files
from tengen.errors import UserError, did_you_mean
from tengen.perception.board_networks import BoardOutputs, PolicyCNN, ResidualTower, fold
from tengen.perception.torch_state import load_module_state, module_state
from tengen.types import Array

_CLASSES: Final[Mapping[str, type[nn.Module]]] = {"PolicyCNN": PolicyCNN, "ResidualTower": ResidualTower}
_LIMITS: Final = {"planes": 256, "width": 4096, "layers": 200, "blocks": 200}
_PLANES: Final = {"board": 1, "standard": 23}
"""How many planes each kind has that `tengen.envs.go.planes` draws: agents load networks, and import no environment."""
_FORMAT: Final = 1
_MOST_BYTES: Final = 1 << 31


@dataclass(frozen=True)
class Card:
    """What a network is and where it comes from.

    Attributes:
        architecture: `{"class": ..., "parameters": {...}}`, as `make_network` takes it.
        planes: The kind of planes it sees, see `tengen.envs.go.planes`.
        size: The board size it was trained on; it computes on any.
        komi: That it was trained with; None where games had several.
        about: Data, command, accuracy, strength: whatever is worth knowing, as JSON values.
    """

    architecture: dict[str, Any]
    planes: str
    size: int
    komi: float | None = None
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadedNetwork:
    """A network and its card."""

    network: nn.Module
    card: Card
    device: torch.device
    in_bfloat16: bool = False

    @torch.no_grad()
    def __call__(self, planes: Array) -> tuple[Array, Array | None]:
        """Return policy logits [B, N * N + 1] and values [B] (None without a value head) of planes [B, C, N, N]."""
        x = torch.from_numpy(planes).to(self.device).to(torch.bfloat16 if self.in_bfloat16 else torch.float32)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.in_bfloat16):
            outputs: BoardOutputs = self.network(x.contiguous(memory_format=torch.channels_last))
        return outputs.policy.cpu().numpy(), None if outputs.value is None else outputs.value.cpu().numpy()


def make_network(architecture: Mapping[str, Any]) -> nn.Module:
    """Return a new network of an architecture, `{"class": "PolicyCNN", "parameters": {"planes": 23, ...}}`.

    Raises:
        UserError: There is no such class, or its parameters are wrong.
    """
    name, parameters = architecture.get("class"), architecture.get("parameters")
    if not isinstance(name, str) or name not in _CLASSES:
        known = list(_CLASSES)
        raise UserError(f"no network is called {name!r}.{did_you_mean(str(name), known)} Known: {', '.join(known)}.")
    if not isinstance(parameters, Mapping) or "planes" not in parameters:
        raise UserError(f"the parameters of {name} must be a table that says planes, got {parameters!r}")
    for key, value in parameters.items():
        if key in _LIMITS and not (type(value) is int and 1 <= value <= _LIMITS[key]):
            raise UserError(f"{name}'s {key} must be a whole number from 1 to {_LIMITS[key]}, got {value!r}")
        if key not in _LIMITS and not isinstance(value, bool):
            raise UserError(f"{name}'s {key} must be true or false, got {value!r}")
    try:
        return _CLASSES[name](**parameters)
    except TypeError as error:
        raise UserError(f"{name} can't be made with {dict(parameters)}: {error}") from error


def architecture_of(network: PolicyCNN | ResidualTower) -> dict[str, Any]:
    """Return the architecture of a network, as `make_network` takes it."""
    return {"class": type(network).__name__, "parameters": dict(network.parameters_given)}


def save_network(path: Path, network: nn.Module, card: Card) -> None:
    """Write a network to a file, at one instant, its normalisations folded into the convolutions.

    Folders that the file is to be in are made.

    Raises:
        UserError: The file can't be written.
    """
    network, card = folded(network, card)
    saved = asdict(card) | {"format": _FORMAT}
    # safetensors keeps the order of memory, so that channels last would come back as other numbers
    arrays = {name: array.copy(order="C") for name, array in module_state(network).items()}
    data = safetensors.numpy.save(arrays, {"tengen": json.dumps(saved)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(path, data)
    except OSError as error:
        raise UserError(f"the network can't be written to {path}: {error.strerror or error}") from error


def folded(network: nn.Module, card: Card) -> tuple[nn.Module, Card]:
    """Return a copy of a network, its normalisations folded into the convolutions, and the copy's card."""
    network = copy.deepcopy(network).eval()
    fold(network)
    architecture = copy.deepcopy(card.architecture)
    architecture["parameters"]["norm"] = False
    return network, replace(card, architecture=architecture)


def policy_only(network: nn.Module, architecture: Mapping[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
    """Return a network without its other heads, and its architecture: for when they have learnt nothing of use."""
    parameters = {**architecture["parameters"], "value": False, "ownership": False}
    bare = {"class": architecture["class"], "parameters": parameters}
    result = make_network(bare)
    wanted = result.state_dict().keys()
    load_module_state(result, {name: array for name, array in module_state(network).items() if name in wanted})
    return result.eval(), bare


def load_network(path: Path, device: str = "cpu", *, in_bfloat16: bool = False) -> LoadedNetwork:
    """Return the network of a file.

    Args:
        path: The file.
        device: Where to compute.
        in_bfloat16: Compute in bfloat16 rather than float32.

    Raises:
        UserError: It can't be read, is no network file of Tengen's, or its parts don't fit together.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path} is no network file: it is larger than {_MOST_BYTES} bytes")
        with safetensors.safe_open(path, "np") as file:
            card = _card(path, file.metadata() or {})
            state = {name: _array(path, file, name) for name in file.keys()}  # noqa: SIM118 -- it is no mapping
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"the network file {path} can't be read: {error}") from error
    try:
        network = make_network(card.architecture)
        _require_planes(card)
        load_module_state(network, state)
    except UserError as error:
        raise UserError(f"the network file {path} is damaged: {error}") from error
    return ready(network, card, device, in_bfloat16=in_bfloat16)


def ready(network: nn.Module, card: Card, device: str = "cpu", *, in_bfloat16: bool = False) -> LoadedNetwork:
    """Return a network ready to be asked; see `load_network`."""
    network = network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    return LoadedNetwork(network, card, torch.device(device), in_bfloat16)


def _array(path: Path, file: Any, name: str) -> Array:
    try:
        array: Array = file.get_tensor(name)
    except (AttributeError, TypeError) as error:  # what safetensors raises for kinds of numbers that numpy lacks
        kind = file.get_slice(name).get_dtype()
        raise UserError(f"the network file {path} can't be read: {name} is {kind}, save it as F32") from error
    return array


def _card(path: Path, metadata: Mapping[str, str]) -> Card:
    try:
        saved = json.loads(metadata["tengen"])
        if saved.pop("format") != _FORMAT:
            raise UserError(f"{path} is a network file of another version (this one reads format {_FORMAT})")
        card = Card(**saved)
        taken = card.architecture["parameters"]["planes"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is no network file of Tengen's: it has no card that says what it is") from error
    named = isinstance(card.planes, str) and isinstance(card.komi, int | float | None)
    if type(card.size) is not int or not named or type(taken) is not int:
        raise UserError(f"{path} is no network file of Tengen's: its card is damaged")
    return card


def _require_planes(card: Card) -> None:
    """Refuse a card whose planes are not those that its architecture takes."""
    wanted, taken = _PLANES.get(card.planes), card.architecture["parameters"]["planes"]
    if wanted is None:
        raise UserError(f"its card says that it sees {card.planes!r} planes, which must be one of {', '.join(_PLANES)}")
    if taken != wanted:
        raise UserError(f"its card says that it sees {card.planes} planes, which are {wanted}, and it takes {taken}")


def named_network(name: str) -> Path:
    """Return the file of a network: a file that is there, or one that is shipped under this name.

    Raises:
        UserError: There is neither.
    """
    folder = Path(str(resources.files("tengen.presets"))) / "networks"
    shipped = {path.stem: path for path in sorted(folder.glob("*.safetensors"))}
    path = shipped.get(name, Path(name).expanduser())
    if path.is_dir():
        raise UserError(
            f"{name} is a folder, not a network file: `tengen perceive export RUN --out FILE` makes one of a run"
        )
    if not path.is_file():
        raise UserError(
            f"there is no network file {name}.{did_you_mean(name, list(shipped))} Shipped: {', '.join(shipped)}."
        )
    return path


def require_fit(card: Card, where: str, planes: str, size: int | None = None) -> None:
    """Refuse a network that can't see what it would be shown.

    Args:
        card: The network's.
        where: What to call it: its file.
        planes: The kind of planes it would be given.
        size: The only board size that will do, where there is one.

    Raises:
        UserError: It doesn't fit.
    """
    if card.planes != planes:
        raise UserError(f"{where} sees {card.planes} planes, not {planes}: choose another network, or other planes")
    if size is not None and card.size != size:
        raise UserError(
            f"{where} was trained on {card.size}x{card.size}, not {size}x{size}: choose another, or name it as a "
            "player that plays on any, network:FILE,any_size=true"
        )
