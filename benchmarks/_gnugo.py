"""GNU Go as an oracle, over GTP: what it says of legal moves, captures, liberties and scores, beside what Tengen does.

Its rules here: no suicide, simple ko, area scores (`--chinese-rules`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tengen.envs.go._chain_kernels import load, make_chains, padded, unpadded
from tengen.envs.go._playout_kernels import play_on
from tengen.envs.go.coordinates import action_of, vertex_of
from tengen.envs.go.gtp_client import GTPClient, find_program
from tengen.envs.go.rules import Refusal, Rules
from tengen.envs.go.simulator import Go
from tengen.envs.go.states import GoStates

COMMAND = "gnugo --mode gtp --chinese-rules --forbid-suicide"
_NAMES = {1: "black", -1: "white"}


def missing() -> str | None:
    """Return why the oracle can't be asked, or None."""
    return None if find_program("gnugo") else "GNU Go (Debian package gnugo) is not installed"


def simple_rules(size: int) -> Rules:
    """Return the rules that GNU Go is told to play by."""
    return Rules(size=size, komi=0.5, ko="simple", max_moves=30_000)


class Comparison:
    """A running GNU Go, and what was counted so far. A difference is an entry of `differences`.

    Args:
        size: Points along a side.
    """

    def __init__(self, size: int) -> None:
        self.go = Go(simple_rules(size))
        self.counts: Counter[str] = Counter()
        self.differences: list[str] = []
        self._client = GTPClient(COMMAND)
        self._client.send(f"boardsize {size}")

    def close(self) -> None:
        """End the program."""
        self._client.close()

    def follow(
        self,
        actions: Sequence[int],
        colors: Sequence[int] | None = None,
        start: GoStates | None = None,
        *,
        look_period: int = 1,
    ) -> GoStates:
        """Play a game on both sides, comparing legal moves, captures and liberties each `look_period` moves.

        Returns:
            The game, where it ended or a move was illegal (by both, else there is a difference).
        """
        size = self.go.rules.size
        states = self.go.init(np.random.default_rng(0), 1) if start is None else start.copy()
        self._client.send("clear_board")
        for point in np.flatnonzero(states.board[0].ravel()).tolist():
            self._client.send(f"play {_NAMES[int(states.board[0].ravel()[point])]} {vertex_of(point, size)}")
        for k, action in enumerate(actions):
            if colors is not None:
                states.to_move[0] = colors[k]
            states = states._replace(passes=np.minimum(states.passes, 1))  # records go on after passes
            if k % look_period == 0:
                self.look(states, f"move {k} of {list(actions)}")
            color = _NAMES[int(states.to_move[0])]
            allowed = self._client.send(f"is_legal {color} {vertex_of(action, size)}") == "1"
            states, reasons = self.go.play(states, np.array([action]))
            self._count("is_legal", allowed, not reasons[0], f"{color} {action} after {list(actions[:k])}")
            if reasons[0] != Refusal.NONE:
                break
            self._client.send(f"play {color} {vertex_of(action, size)}")
        self.look(states, f"the end of {list(actions)}", own_stones=True)
        return states

    def look(self, states: GoStates, where: str, *, own_stones: bool = False) -> None:
        """Compare what may be played, how many stones were captured, and how many liberties chains have.

        Args:
            states: One game, as GNU Go has it.
            where: For a message.
            own_stones: Whether to ask for the liberties of every chain, else of that of the last move.
        """
        size, color = self.go.rules.size, _NAMES[int(states.to_move[0])]
        points = sorted(action_of(vertex, size) for vertex in self._client.send(f"all_legal {color}").split())
        going_on = states._replace(passes=np.zeros(1, np.int8))  # where a game is over, all actions count as legal
        mine = np.flatnonzero(self.go.legal(going_on)[0, :-1]).tolist()
        self._count("all_legal", points, mine, where)
        for side, column in ((1, 0), (-1, 1)):
            captured = int(self._client.send(f"captures {_NAMES[side]}"))
            self._count("captures", captured, int(states.captured[0, column]), where)
        liberties, last = self.go.liberties(states.board)[0].ravel(), int(states.last[0, 0])
        asked = np.flatnonzero(liberties).tolist() if own_stones else [last]
        for point in asked:
            if 0 <= point < size * size and liberties[point]:
                answer = int(self._client.send(f"countlib {vertex_of(point, size)}"))
                self._count("countlib", answer, int(liberties[point]), where)

    def score(self, states: GoStates) -> None:
        """Compare the final score of a game on whose board nothing is dead."""
        self._client.send(f"komi {self.go.rules.komi}")
        answer = self._client.send("final_score")
        margin = float(answer[2:]) * (1 if answer[0] == "B" else -1) if answer[0] in "BW" else 0.0
        self._count("final_score", margin, float(self.go.score(states)[0]), str(states.board[0].tolist()))

    def _count(self, what: str, theirs: object, ours: object, where: str) -> None:
        self.counts[what] += 1
        if theirs != ours:
            self.differences.append(f"{what}: GNU Go says {theirs}, Tengen {ours}: {where}")


def random_game(go: Go, rng: np.random.Generator) -> list[int]:
    """Return the actions of a game of some wholly random moves, and a light playout after them."""
    size = go.rules.size
    states, actions = go.init(rng, 1), []
    for _ in range(int(rng.integers(size * size))):
        points = np.flatnonzero(go.legal(states)[0, :-1])
        actions.append(int(rng.choice(points)) if len(points) else size * size)
        states, _, _ = go.step(states, np.array(actions[-1:]))
        if states.over[0]:
            return actions
    return actions + playout(go, states, rng)


def playout(go: Go, states: GoStates, rng: np.random.Generator) -> list[int]:
    """Return the actions of a light playout from one game."""
    size = go.rules.size
    chains, record = make_chains(size), np.zeros(3 * size * size + 1, np.uint16)
    num_empty = np.uint64(load(chains, states.board[0]))
    ko = np.uint64(padded(int(states.ko[0]), size) if states.ko[0] >= 0 else 0)
    seed = np.uint64(rng.integers(1, 2**63))
    color = 1 if states.to_move[0] > 0 else 2
    num_moves, _ = play_on(chains, size, color, num_empty, ko, int(states.passes[0]), seed, record)
    return [int(unpadded(p, size)) if p else size * size for p in record[:num_moves]]
