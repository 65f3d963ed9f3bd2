"""The task of predicting an expert's next move in Go, and who wins, from recorded games.

Examples are positions of games up to a date, each turned by one of the 8 symmetries at random; what is kept aside are
the games from that date on, as they were played. Games without a date are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.random import Generator

from tengen.envs.go.games import NUM_SYMMETRIES, Census, Games, default_cache, load_games
from tengen.envs.go.planes import Planes, encode, num_planes
from tengen.errors import UserError
from tengen.types import Array, Ints

Heads = Literal["auto", "policy", "policy+value", "policy+value+ownership"]

_EVALUATION_SEED = 20170401  # of which positions are kept aside, where not all are
_VALUE_WEIGHT = 0.5
_OWNERSHIP_WEIGHT = 0.5
_LOOKED_AT = 256  # positions that features are renewed by


@dataclass(frozen=True)
class GoPolicyConfig:
    """Predict the next move of strong players of Go, and the winner, from SGF files."""

    data: tuple[str, ...] = ()
    """Folders (searched through), archives (.tar.gz, .tgz, .tar, .zip) and .sgf files of games."""
    size: int = 19
    """Board size; games on others are left out."""
    split: str = "2017-04"
    """A month (or day): games before it are learnt from, games from it on are kept aside to test on."""
    planes: Planes = "standard"
    """What the network sees: the bare board, or liberties, captures, ko, last moves and legality as well."""
    network: Literal["cnn", "tower"] = "cnn"
    """Convolutions alone (Maddison et al. 2015), or a residual tower (Silver et al. 2017)."""
    width: int = 64
    """Features of each layer."""
    layers: int = 12
    """Convolutions of the cnn."""
    blocks: int = 6
    """Residual blocks of the tower, two convolutions each."""
    norm: bool = True
    """Normalise features by batch while training; that becomes a part of the convolutions when a network is exported.
    Without it most features of the last layer die."""
    heads: Heads = "auto"
    """What the network says: the move; who wins as well; and whose each point will be, which games teach that were
    counted. auto: move and winner for a tower, the move for the cnn, whose last layer, which no shortcut leads to, was
    seen to know nothing of the winner."""
    start: str | None = None
    """A network to begin with, of the same layers and whatever board size: a file, or a shipped one's name. Unless
    given, weights are drawn."""

    def __post_init__(self) -> None:
        for name, least, most in (("size", 2, 19), ("width", 1, 1024), ("layers", 2, 100), ("blocks", 1, 100)):
            if not least <= getattr(self, name) <= most:
                raise UserError(f"--{name} must be from {least} to {most}, got {getattr(self, name)}")
        num_planes(self.planes)
        parse_date(self.split)

    def architecture(self) -> dict[str, Any]:
        """Return the network's class and what it is made with, as a network file names them."""
        value = "value" in self.heads or (self.heads == "auto" and self.network == "tower")
        common = {"planes": num_planes(self.planes), "width": self.width, "value": value, "norm": self.norm}
        if self.tells_owners:
            common["ownership"] = True
        if self.network == "cnn":
            return {"class": "PolicyCNN", "parameters": {**common, "layers": self.layers}}
        return {"class": "ResidualTower", "parameters": {**common, "blocks": self.blocks}}

    @property
    def tells_owners(self) -> bool:
        """Whether the network says whose each point will be."""
        return "ownership" in self.heads

    def games(self, tell: Callable[[str], None] | None = None) -> tuple[Games, Census | None]:
        """Return all good games, and what became of the files where they were read anew."""
        if not self.data:
            raise UserError("--data is missing: say which folder or archive of SGF files to learn from")
        paths = [Path(path) for path in self.data]
        return load_games(paths, self.size, cache=default_cache(), tell=tell, owners=self.tells_owners)

    def build(self, tell: Callable[[str], None] | None = None) -> GoPolicy:
        """Return the task, its games read."""
        games, census = self.games(tell)
        if census is not None and tell is not None:
            for line in census.lines():
                tell(line)
        date = parse_date(self.split)
        test = games.between(after=date)
        train = games.between(before=date).without(test)
        if not len(train):
            raise UserError(f"no game of {', '.join(self.data)} is from before {self.split}: choose a later --split")
        if self.tells_owners and not train.num_owned:
            raise UserError(
                f"no game of {', '.join(self.data)} from before {self.split} ends with a count that can be followed, so"
                " that nothing tells whose the points were: choose --heads policy+value"
            )
        if tell is not None:
            tell(
                f"learning from {len(train):,} games ({train.num_positions:,} positions) before {self.split},"
                f" {len(test):,} games ({test.num_positions:,} positions) kept aside"
            )
            if self.tells_owners:
                without = "" if test.num_owned else ": how well that is told of unseen games is not measured"
                tell(f"whose the points were is known of {train.num_owned:,} and {test.num_owned:,} of them{without}")
            if not len(test):
                tell(
                    f"no game is from {self.split} on: nothing is kept aside, and accuracy on unseen games is not"
                    " measured; a run with an earlier --split would keep some"
                )
        return GoPolicy(train, test, self)


class GoPolicy:
    """The task, with its games.

    Args:
        train: Games to learn from.
        test: Games kept aside.
        config: What network, and what it sees.
    """

    def __init__(self, train: Games, test: Games, config: GoPolicyConfig) -> None:
        self.train, self.test, self.config = train, test, config

    def draw(self, num: int, rng: Generator) -> Any:
        """Return positions drawn at random from all games, each turned by a symmetry."""
        games, plies = self.train.position_of(rng.integers(0, self.train.num_positions, num))
        return _examples(self.train, games, plies, rng.integers(0, NUM_SYMMETRIES, num), self.config.planes)

    def kept_aside(self, num: int | None, batch_size: int) -> Iterable[Any]:
        """Yield positions of the games kept aside, as they were played: `num` of them, spread evenly, or all."""
        total = self.test.num_positions
        index = np.arange(total)
        if num is not None and num < total:
            index = np.sort(np.random.default_rng(_EVALUATION_SEED).choice(total, num, replace=False))
        for start in range(0, len(index), batch_size):
            games, plies = self.test.position_of(index[start : start + batch_size])
            yield _examples(self.test, games, plies, None, self.config.planes)

    def digest(self) -> str:
        """Return a digest of the games to learn from."""
        return self.train.digest()

    def network(self) -> Any:
        """Return a network to train, made of torch's generator and maybe the weights to begin with."""
        from tengen.perception.network_file import make_network

        network = make_network(self.config.architecture())
        if self.config.start is not None:
            self._begin_with(network, self.config.start)
        return network

    def _begin_with(self, network: Any, name: str) -> None:
        import torch

        from tengen.perception.network_file import load_network, named_network, require_fit
        from tengen.perception.renewal import adopt

        loaded = load_network(named_network(name))
        require_fit(loaded.card, name, self.config.planes)
        given, wanted = (_layers(of) for of in (loaded.card.architecture, self.config.architecture()))
        if given != wanted:
            raise UserError(f"--start {name} is a {given}, and the options ask for a {wanted}: ask for the same layers")
        looked_at = self.draw(_LOOKED_AT, np.random.default_rng(0)).inputs
        adopt(network, loaded.network, torch.from_numpy(looked_at).float())

    def judge(self, outputs: Any, targets: Mapping[str, Any]) -> Any:
        """Return the loss, and metrics.

        It is the cross entropy of the move, and, where the network says them, half the squared error of the outcome and
        half that of whose the points are, by which features that judge a position are learnt sooner (Wu 2019, section
        4.1). Games whose outcome or owners are unknown count for neither.
        """
        from tengen.perception.supervised import classification

        loss, metrics = classification(outputs.policy, targets["action"])
        if outputs.value is not None:
            known = (targets["outcome"] != 0).float()
            error = ((outputs.value - targets["outcome"]).square() * known).sum()
            loss = loss + _VALUE_WEIGHT * error / known.sum().clamp(min=1)
            right = ((outputs.value.detach() * targets["outcome"]) > 0).float().sum()
            metrics |= {"value_error": (error.detach(), known.sum()), "winner": (right, known.sum())}
        if outputs.ownership is not None and "owner" in targets:
            owned, found = _ownership(outputs.ownership, targets["owner"].float())
            loss = loss + _OWNERSHIP_WEIGHT * owned
            metrics |= found
        return loss, metrics


def _ownership(said: Any, owner: Any) -> tuple[Any, dict[str, Any]]:
    """Return the mean squared error of what is said of points [B, N, N], and metrics."""
    known = (owner != 0).flatten(1).any(1).float()[:, None, None].expand_as(owner)  # boards of games that were counted
    error, count = ((said - owner).square() * known).sum(), known.sum()
    right = ((said.detach() * owner) > 0).float().sum()
    metrics = {"ownership_error": (error.detach(), count), "owners": (right, (owner != 0).float().sum())}
    return error / count.clamp(min=1), metrics


def _examples(games: Games, index: Ints, plies: Ints, symmetries: Ints | None, planes: str) -> Any:
    from tengen.perception.supervised import Examples

    sample = games.sample(index, plies, symmetries)
    targets: dict[str, Array] = {"action": sample.action, "outcome": sample.outcome}
    if sample.owner is not None:
        targets["owner"] = sample.owner
    return Examples(encode(sample, planes), targets)


def _layers(architecture: Mapping[str, Any]) -> str:
    """Return what networks must have in common for one to go on with the other's weights: all but their heads."""
    parameters = {
        name: value for name, value in architecture["parameters"].items() if name not in ("value", "ownership")
    }
    return f"{architecture['class']} of {', '.join(f'{name} {value}' for name, value in sorted(parameters.items()))}"


def parse_date(text: str) -> int:
    """Return a month or a day, 2017-04 or 2017-04-30, as the number that games carry.

    Raises:
        UserError: It is neither.
    """
    match = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])(?:-(0[1-9]|[12]\d|3[01]))?", text)
    if match is None:
        raise UserError(f"a date must be a month or a day such as 2017-04 or 2017-04-30, got {text!r}")
    return int(match[1]) * 10000 + int(match[2]) * 100 + int(match[3] or 0)
