"""A policy against an opponent, in games of two sides: another policy, or a program that speaks GTP.

B batch, A actions, N episodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tengen.contracts import AdjudicatedSimulator, Environment, Policy
from tengen.envs.config import EnvConfig
from tengen.errors import UserError
from tengen.evaluate import Evaluation
from tengen.evaluation.go.elo import Standing
from tengen.evaluation.go.programs import START_SECONDS, begin_game
from tengen.types import Bools, Floats, Ints, TimeStep

RESIGN = -1
"""What an opponent answers in place of an action when it gives a game up."""

_MOST_ERRORS = 3  # games in a row that an opponent may lose by errors of its own

_MOVE_SECONDS = 600.0  # for a move of a program's

_OPPONENT = 0x6F7070
"""Beside the seed, seeds the opponent's draws."""


class Opponent(Protocol):
    """Plays one side of several games (rows) at once.

    Attributes:
        errors: What it did that lost it games, a line for each.
    """

    errors: list[str]

    def begin(self, row: int) -> None:
        """A new game starts in a row."""
        ...

    def act(self, step: TimeStep, rows: Ints, rng: np.random.Generator) -> Ints:
        """Return an action, or RESIGN, for each of these rows [R]; `step` holds them alone."""
        ...

    def played(self, row: int, action: int) -> None:
        """The other side played this in a row."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


class PolicyOpponent:
    """A policy as an opponent."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.errors: list[str] = []

    def begin(self, row: int) -> None:
        """Nothing to do: a policy remembers nothing."""

    def act(self, step: TimeStep, rows: Ints, rng: np.random.Generator) -> Ints:
        """Return the policy's actions."""
        return self._policy.act(step, rng)

    def played(self, row: int, action: int) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to free."""


class GTPOpponent:
    """A program that speaks GTP, one process for each row, as an opponent at Go.

    Where it dies, says nothing in time, or answers no move or an illegal one, it has lost the game, as in a match; for
    the next it is started anew.

    Args:
        command: Its command line.
        go: The rules (a `tengen.envs.go` simulator).
        num_envs: Rows.

    Raises:
        UserError: The rules have a handicap, or there is no such program; later, three games in a row were lost so.
    """

    def __init__(self, command: str, go: Any, num_envs: int) -> None:
        from tengen.envs.go.gtp_client import GTPClient

        if go.rules.handicap:
            raise UserError("a program can't be the opponent in games with a handicap: leave the handicap out")
        self._rules = go.rules
        self._start = partial(GTPClient, command, timeout=_MOVE_SECONDS)
        self._clients: list[GTPClient] = []
        try:
            for _ in range(num_envs):
                self._clients.append(self._start())
        except UserError:
            self.close()
            raise
        self._movers = ["b"] * num_envs  # whose turn it is in each row
        self._failed = [False] * num_envs  # whether it has lost the row's game by an error
        self._in_a_row = 0  # games that it lost so
        self.errors: list[str] = []

    def begin(self, row: int) -> None:
        """Begin a game as a match does, by the same rules; in place of a program that has failed, start another."""
        if self._failed[row]:
            self._failed[row] = False
            self._clients[row].close()
            self._clients[row] = self._start()
        else:
            self._in_a_row = 0
        begin_game(self._clients[row], self._rules, START_SECONDS)
        self._movers[row] = "b"

    def act(self, step: TimeStep, rows: Ints, rng: np.random.Generator) -> Ints:
        """Ask each row's program for a move."""
        actions = np.full(len(rows), RESIGN)
        for i, row in enumerate(rows.tolist()):
            try:
                actions[i] = self._ask(row, None if step.legal is None else step.legal[i])
            except UserError as error:
                self._fail(row, str(error))
        return actions

    def _ask(self, row: int, legal: Bools | None) -> int:
        from tengen.envs.go.coordinates import action_of

        if self._failed[row]:
            return RESIGN
        program = self._clients[row].program
        answer = self._clients[row].send(f"genmove {self._movers[row]}")
        self._turn(row)
        if answer.lower() == "resign":
            return RESIGN
        try:
            action = action_of(answer, self._rules.size)
        except ValueError as error:
            raise UserError(f"the opponent {program} answered no move: {error}") from error
        if legal is not None and not legal[action]:
            raise UserError(f"the opponent {program} played {answer}, which is illegal here")
        return action

    def _fail(self, row: int, error: str) -> None:
        self._failed[row] = True
        self.errors.append(error)
        self._in_a_row += 1
        if self._in_a_row == _MOST_ERRORS:
            raise UserError(f"{_MOST_ERRORS} games in a row ended by an error of the opponent: {error}")

    def played(self, row: int, action: int) -> None:
        """Tell the row's program."""
        from tengen.envs.go.coordinates import vertex_of

        try:
            self._clients[row].send(f"play {self._movers[row]} {vertex_of(action, self._rules.size)}")
        except UserError as error:
            self._fail(row, str(error))
        self._turn(row)

    def close(self) -> None:
        """End the programs."""
        for client in self._clients:
            client.close()

    def _turn(self, row: int) -> None:
        self._movers[row] = "w" if self._movers[row] == "b" else "b"


def evaluate_against(
    policy: Policy,
    opponent: Opponent,
    env: Environment,
    num_episodes: int,
    seed: int,
    *,
    on_episode: Callable[[int, float], None] | None = None,
) -> Evaluation:
    """Play the episodes of seeds `seed` to `seed + num_episodes - 1` against an opponent.

    The policy has the first move in the first episode, the opponent in the second, and so on. A game that is cut at its
    limit of moves is counted as it stands, where the simulator is an `AdjudicatedSimulator`, as Go is, and else a draw.

    Args:
        policy: Whose returns are reported.
        opponent: Plays the other side.
        env: Made with `training=False`; two sides alternate in it.
        num_episodes: N.
        seed: Seed of the first episode, and of the draws.
        on_episode: Called with the number of episodes done and the return of the last.

    Returns:
        The returns and lengths; a length counts the moves of both.
    """
    num_envs = env.spec.num_envs
    rng, opponent_rng = np.random.default_rng(seed), np.random.default_rng([seed, _OPPONENT])
    returns, lengths = np.zeros(num_episodes), np.zeros(num_episodes, np.int64)
    episode, upcoming, done = np.arange(num_envs), num_envs, 0  # [B], the episode that a row plays
    ours = episode % 2 == 0  # [B], whose turn it is
    resigned = np.zeros(num_envs, np.bool_)
    for row in range(num_envs):
        opponent.begin(row)
    step = env.reset(seed + episode)
    while done < num_episodes:
        actions = np.full(num_envs, RESIGN)
        mine, its = np.flatnonzero(ours & ~resigned), np.flatnonzero(~ours & ~resigned)
        if len(mine):
            actions[mine] = policy.act(_rows(step, mine), rng)
            for row in mine.tolist():
                opponent.played(row, int(actions[row]))
        if len(its):
            actions[its] = opponent.act(_rows(step, its), its, opponent_rng)
            resigned |= ~ours & (actions == RESIGN)
        over = np.flatnonzero(resigned)
        actions[over] = env.spec.num_actions - 1  # the pass of Go, where alone a side can resign: it ends by itself
        step = env.step(actions)
        playing = episode < num_episodes
        for row in np.flatnonzero(playing).tolist():
            lengths[episode[row]] += not resigned[row]
            if not resigned[row]:
                returns[episode[row]] += step.reward[row] if ours[row] else -step.reward[row]
        ours = np.where(step.discount < 0, ~ours, ours)
        by_decree = np.where(resigned, 1.0, _worth(env, step) * np.where(ours, 1.0, -1.0))
        for row in np.flatnonzero(step.last).tolist():
            if playing[row]:
                returns[episode[row]] += by_decree[row]
                done += 1
                if on_episode is not None:
                    on_episode(done, float(returns[episode[row]]))
            episode[row], ours[row], resigned[row] = upcoming, upcoming % 2 == 0, False
            upcoming += 1
            opponent.begin(row)
        if step.last.any():
            step = env.reset_done(seed + episode)
    return Evaluation(seed, returns, lengths)


def _worth(env: Environment, step: TimeStep) -> Floats:
    """Return what games are worth to the side to move that were cut at this step, [B]; 0 for others."""
    cut = step.last & (step.discount != 0)
    simulator = env.spec.simulator
    if not isinstance(simulator, AdjudicatedSimulator) or not cut.any():
        return np.zeros(len(cut))
    return np.where(cut, simulator.adjudicate(step.state), 0.0)


def make_opponent(text: str, env: Environment, load_run: Callable[[str], Policy]) -> Opponent:
    """Return the opponent that a text names: `random`, `gtp:COMMAND`, or a run's folder.

    Args:
        text: As given on the command line.
        env: Where it is to play.
        load_run: Loads the policy of a run.

    Raises:
        UserError: The environment has no two sides, or there is no such opponent.
    """
    if not env.spec.alternates:
        raise UserError(f"--opponent is for games in which two sides alternate, {env.spec.id} is none: leave it out")
    if text == "random":
        from tengen.agents.random.agent import RandomPolicy

        return PolicyOpponent(RandomPolicy(env.spec.num_actions))
    kind, colon, command = text.partition(":")
    if colon and kind == "gtp":
        rules = getattr(env.spec.simulator, "rules", None)
        if rules is None or not hasattr(rules, "komi"):
            raise UserError(f"a program that speaks GTP plays Go, not {env.spec.id}: --opponent random, or a run")
        return GTPOpponent(command, env.spec.simulator, env.spec.num_envs)
    return PolicyOpponent(load_run(text))


def load_rival(folder: Path, settings: EnvConfig) -> Policy:
    """Return the latest policy of a run, which must have been trained in the same environment.

    Raises:
        UserError: There is no such run, or it knows another environment.
    """
    from tengen.run import load_policy, open_run

    run = open_run(folder)
    theirs = run.config.env
    if (theirs.id, theirs.kwargs) != (settings.id, settings.kwargs):
        raise UserError(
            f"the opponent {folder} plays {_described(theirs)}, not {_described(settings)}: give a run of the same game"
        )
    loaded = load_policy(run)
    loaded.env.close()
    return loaded.policy


def _described(settings: EnvConfig) -> str:
    return " ".join([settings.id, *(f"{name}={value!r}" for name, value in settings.kwargs.items())])


def outcome_terms(returns: Sequence[float] | Floats) -> dict[str, Any]:
    """Return how many games were won, drawn and lost, the win rate and Elo difference, with 95% intervals."""
    values = np.asarray(returns)
    wins, losses = int((values > 0).sum()), int((values < 0).sum())
    return Standing(wins, len(values) - wins - losses, losses).summary()


def _rows(step: TimeStep, rows: Ints) -> TimeStep:
    """Return some rows of a TimeStep, the simulator's states as well."""

    def take(value: Any) -> Any:
        if isinstance(value, tuple):
            parts = [take(part) for part in value]
            return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        return value[rows] if isinstance(value, np.ndarray) else value

    return TimeStep(*(take(value) for value in step))
