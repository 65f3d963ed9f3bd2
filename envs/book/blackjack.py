"""Blackjack as Sutton & Barto (2018) play it (Example 5.1): its exact tables from the rules, and the environment.

An infinite deck, so that each card is independent of the others. Observations are those of Gymnasium's Blackjack-v1:
the player's sum, the dealer's face-up card (1 is an ace), and whether the player has an ace that counts 11. A state is
such an observation's number. Besides, for each face-up card there is a state of a natural (an ace and a ten just
dealt), which looks like any other 21 with an ace.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from tengen.envs.book._base import TabularEnv
from tengen.tables import Outcome, TransitionTables, tabulate
from tengen.types import Floats, Ints

STICK, HIT = 0, 1
OBSERVATION_SIZES = (32, 11, 2)

_NUM_HANDS = 32 * 11 * 2  # the naturals come after them, by the face-up card
_CHANCES = {card: 4 / 13 if card == 10 else 1 / 13 for card in range(1, 11)}


class Blackjack(TabularEnv):
    """Hit or stick against the dealer, who sticks at 17; reward 1, 0 or -1 at the end (Example 5.1).

    Args:
        natural: A natural that wins pays 1.5 (Gymnasium's rule; only with `sab=False`).
        sab: A natural wins unless the dealer has one too, as in the book; else it is a 21 like any other.
        render_mode: "ansi" or "rgb_array".
    """

    def __init__(self, natural: bool = False, sab: bool = True, render_mode: str | None = None) -> None:
        tables = blackjack_tables(natural=natural, sab=sab)
        super().__init__(tables, render_mode=render_mode, observation_parts=OBSERVATION_SIZES)

    def describe(self, state: int) -> str:
        """Return the player's sum and what the dealer shows."""
        player, dealer, ace = np.unravel_index(int(self.tables.observation[state]), OBSERVATION_SIZES)
        return f"{player}{' with a usable ace' if ace else ''} against {'an ace' if dealer == 1 else dealer}"


def blackjack_tables(*, natural: bool, sab: bool) -> TransitionTables:
    """Return the tables of the rules, the dealer's play folded into the outcomes of sticking.

    Args:
        natural: See `Blackjack`; ignored where `sab` is set.
        sab: See `Blackjack`.
    """
    num_states = _NUM_HANDS + 10

    def outcomes(state: int, action: int) -> list[Outcome]:
        is_natural = state >= _NUM_HANDS
        player, dealer, ace = (21, state - _NUM_HANDS + 1, 1) if is_natural else _hand(state)
        if not (4 <= player <= 21 and dealer >= 1) or (ace and player < 12):
            return [(1.0, state, 0.0, 0.0)]  # bust, or no hand at all
        if action == HIT:
            return _hit(player, dealer, ace)
        scores, dealer_natural = _dealer_scores(dealer)
        win, draw = float(scores[:player].sum()), float(scores[player])
        if is_natural and sab:
            win, draw = 1.0 - dealer_natural, dealer_natural
        prize = 1.5 if is_natural and natural and not sab else 1.0
        ends = ((1.0 - win - draw, -1.0), (draw, 0.0), (win, prize))
        return [(p, state, reward, 0.0) for p, reward in ends if p > 1e-12]  # below it is rounding

    return tabulate(num_states, 2, outcomes, _deal(num_states), observation=_observations(num_states))


def _number(player: int, dealer: int, ace: int) -> int:
    return (player * 11 + dealer) * 2 + ace


def _hand(state: int) -> tuple[int, int, int]:
    rest, ace = divmod(state, 2)
    return rest // 11, rest % 11, ace


def _sum(hard: int, has_ace: bool) -> tuple[int, int]:
    """Return a hand's sum and whether an ace counts 11, given the sum in which aces count 1."""
    return (hard + 10, 1) if has_ace and hard <= 11 else (hard, 0)


def _hit(player: int, dealer: int, ace: int) -> list[Outcome]:
    rows = []
    for card, p in _CHANCES.items():
        following, usable = _sum(player - 10 * ace + card, bool(ace) or card == 1)
        bust = following > 21
        rows.append((p, _number(following, dealer, usable), -1.0 if bust else 0.0, 0.0 if bust else 1.0))
    return rows


@cache
def _dealer_scores(card: int) -> tuple[Floats, float]:
    """Return the probabilities [22] of the dealer's score, 0 for bust, and that of a natural, given his open card."""
    scores = np.zeros(22)
    for hole, p in _CHANCES.items():
        scores += p * _play_out(card + hole, 1 in (card, hole))
    return scores, _CHANCES.get(11 - card, 0.0) if card in (1, 10) else 0.0


@cache
def _play_out(hard: int, has_ace: bool) -> Floats:
    scores = np.zeros(22)
    total, _ = _sum(hard, has_ace)
    if total >= 17:
        scores[total if total <= 21 else 0] = 1.0
        return scores
    for card, p in _CHANCES.items():
        scores += p * _play_out(hard + card, has_ace or card == 1)
    return scores


def _deal(num_states: int) -> Floats:
    """Return the probabilities of the first state [S]."""
    initial = np.zeros(num_states)
    for dealer, p in _CHANCES.items():
        for one, p1 in _CHANCES.items():
            for two, p2 in _CHANCES.items():
                player, ace = _sum(one + two, 1 in (one, two))
                state = _NUM_HANDS + dealer - 1 if player == 21 else _number(player, dealer, ace)
                initial[state] += p * p1 * p2
    return initial


def _observations(num_states: int) -> Ints:
    """Return what is seen of each state [S]: its own number, and of a natural that of its sum."""
    observation = np.arange(num_states)
    observation[_NUM_HANDS:] = [_number(21, dealer, 1) for dealer in range(1, 11)]
    return observation
