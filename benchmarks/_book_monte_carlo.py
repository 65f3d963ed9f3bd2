"""Monte Carlo on blackjack: chapter 5 of Sutton & Barto (2018).

R runs, S states, O observations, A actions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from _book_rows import exact, sampled
from _book_runs import Effort, Item, Result, Trial, repeat, tables_of

from tengen.agents.tabular import MonteCarloConfig, OffPolicyMonteCarloConfig, PredictionConfig, TabularAgent
from tengen.agents.tabular._prediction_kernels import Stochastic
from tengen.planners.dynamic_programming import value_iteration
from tengen.planners.exact import evaluate_exactly
from tengen.types import EnvSpec, Floats, Ints

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ENV = "tengen/Blackjack-v0"
_SIZES = (32, 11, 2)  # of observations: the player's sum, the dealer's card, a usable ace
_STICK, _HIT = 0, 1
_START = "-0.043113"


def blackjack_exact(effort: Effort) -> Result:
    """Return what blackjack is worth, and up to where the best policy hits."""
    tables = tables_of(_ENV)
    plan = value_iteration(tables, 1.0)
    policy = plan.policy[: np.prod(_SIZES)].reshape(_SIZES)
    totals = ("17", "13", "13", "12", "12", "12", "17", "17", "17", "17")  # ace, 2 to 10
    rows = [exact("start value", float(tables.initial @ plan.v), _START, settings="gamma 1, sab")]
    rows += [
        exact(
            f"least hard sum to stick on, dealer shows {card}",
            next(total for total in range(12, 22) if policy[total, card, 0] == _STICK),
            text,
        )
        for card, text in enumerate(totals, start=1)
    ]

    def draw(figure: Figure) -> None:
        draw_policy_and_values(figure, policy, plan.v[: np.prod(_SIZES)].reshape(_SIZES))

    return Result(rows, draw, (7.5, 6.5))


def prediction(effort: Effort) -> Result:
    """Return the values of sticking on 20 or 21 only, by Monte Carlo prediction."""
    tables, few, many = tables_of(_ENV), 10_000, effort.runs(500_000, 50_000)
    sticks = np.zeros((np.prod(_SIZES), 2))
    sums = np.arange(len(sticks)) // (11 * 2)
    sticks[np.arange(len(sticks)), np.where(sums >= 20, _STICK, _HIT)] = 1.0
    config = PredictionConfig(method="mc", visits="first", gamma=1.0, step_size=1.0, step_size_power=1.0)

    def build(spec: EnvSpec, rng: np.random.Generator) -> TabularAgent:
        agent = config.build(spec, rng, "cpu")
        assert isinstance(agent, TabularAgent)
        agent.learner = agent.learner._replace(policy=Stochastic(sticks))
        return agent

    def measure(trial: Trial) -> tuple[Floats, Floats]:
        trial.episodes(few)
        early = trial.agent.learner.v.copy()
        trial.episodes(many - few)
        return early, trial.agent.learner.v.copy()

    runs = repeat(build, _ENV, effort, effort.runs(40, 8), "blackjack prediction", measure)
    true = evaluate_exactly(tables, sticks[tables.observation], 1.0)
    rows = []
    for total, card, ace in ((13, 2, 0), (18, 10, 0), (20, 1, 0), (18, 6, 1)):
        state = (total * 11 + card) * 2 + ace
        values = np.array([late[state] for _, late in runs])
        hand = f"{'soft' if ace else 'hard'} {total} against {card}"
        rows.append(sampled(f"v({hand}) after {many} episodes", values, f"{true[state]:.4f}", gated=False,
                            settings="sticks on 20 and 21, first visit", note="expected: exact, by the tables",
                            expected_is_exact=True))  # fmt: skip

    def draw(figure: Figure) -> None:
        early, late = runs[0]
        for row, (title, values) in zip(
            figure.subplots(2, 2), ((f"{few} episodes", early), (f"{many} episodes", late)), strict=True
        ):
            for axes, ace in zip(row, (1, 0), strict=True):
                chart(axes, values.reshape(_SIZES)[..., ace], f"{title}, {'usable' if ace else 'no usable'} ace")

    return Result(rows, draw, (8, 7))


def control(effort: Effort) -> Result:
    """Return what policies Monte Carlo control finds, by exploring starts and off-policy."""
    tables, num_episodes = tables_of(_ENV), effort.runs(5_000_000, 200_000)
    best = value_iteration(tables, 1.0)
    hands = np.zeros(_SIZES, np.bool_)
    hands[11:22, 1:, 0] = hands[12:22, 1:, 1] = True
    configs = {
        "exploring starts": MonteCarloConfig(gamma=1.0, exploring_starts=True),
        "off-policy, weighted importance sampling": OffPolicyMonteCarloConfig(gamma=1.0, behaviour="uniform"),
    }

    def measure(trial: Trial) -> Floats:
        for _ in range(10):
            trial.episodes(num_episodes // 10)
        return np.array(trial.agent.learner.q)

    rows, first = [], np.zeros(0)
    for name, config in configs.items():
        tables_learnt = repeat(config, _ENV, effort, effort.runs(10, 4), f"blackjack {name}", measure)
        if not len(first):
            first = tables_learnt[0]
        policies = [q.argmax(1) for q in tables_learnt]
        worth = [greedy_worth(policy) for policy in policies]
        wrong = [
            float((policy.reshape(_SIZES) != best.policy[: policy.size].reshape(_SIZES))[hands].sum())
            for policy in policies
        ]
        settings = f"{num_episodes} episodes, gamma 1"
        rows += [
            sampled(f"exact worth of the policy found, {name}", np.array(worth), settings=settings,
                    note=f"the best policy's is {_START}"),
            sampled(f"hands of 210 it plays differently, {name}", np.array(wrong), settings=settings),
        ]  # fmt: skip

    def draw(figure: Figure) -> None:
        draw_policy_and_values(figure, first.argmax(1).reshape(_SIZES), first.max(1).reshape(_SIZES))

    return Result(rows, draw, (7.5, 6.5))


def greedy_worth(policy: Ints) -> float:
    """Return the exact value of a game played by a policy [O]."""
    tables = tables_of(_ENV)
    return float(tables.initial @ evaluate_exactly(tables, policy[tables.observation], 1.0))


def draw_policy_and_values(figure: Figure, policy: Ints, values: Floats) -> None:
    """Draw a policy and values by the player's sum and the dealer's card, with and without a usable ace."""
    for row, ace in zip(figure.subplots(2, 2), (1, 0), strict=True):
        name = "usable ace" if ace else "no usable ace"
        hands = {"origin": "lower", "extent": (0.5, 10.5, 10.5, 21.5)}
        row[0].imshow(policy[11:22, 1:, ace], cmap="coolwarm", vmin=-0.3, vmax=1.3, **hands)
        row[0].set(title=f"policy, {name}: red hits", xlabel="dealer shows", ylabel="player's sum")
        row[0].set(xticks=range(1, 11), yticks=range(11, 22))
        chart(row[1], values[..., ace], f"value, {name}")


def chart(axes: Axes, values: Floats, title: str) -> None:
    """Draw values [32, 11] of sums 12 to 21 by the dealer's card."""
    image = axes.imshow(
        values[12:22, 1:], origin="lower", extent=(0.5, 10.5, 11.5, 21.5), cmap="viridis", vmin=-1, vmax=1
    )
    axes.set(title=title, xlabel="dealer shows", ylabel="player's sum", yticks=range(12, 22, 3), xticks=range(1, 11))
    axes.figure.colorbar(image, ax=axes, shrink=0.8)


ITEMS = (
    Item("blackjack_exact", "Figure 5.2: blackjack, exactly", blackjack_exact),
    Item("blackjack_prediction", "Figure 5.1: blackjack, Monte Carlo prediction", prediction),
    Item("blackjack_control", "Figure 5.2: blackjack, Monte Carlo control", control),
)
