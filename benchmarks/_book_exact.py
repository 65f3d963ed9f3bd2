"""Exact values: chapters 3 and 4 of Sutton & Barto (2018), and what optimal and greedy policies are worth.

S states, A actions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from _book_pictures import arrows, heat, numbers
from _book_rows import Row, exact
from _book_runs import Effort, Item, Result, spec_of, tables_of

from tengen.envs.book import layout_of
from tengen.planners.dynamic_programming import policy_evaluation, policy_iteration, value_iteration
from tengen.planners.exact import evaluate_exactly, finite_horizon_optimum, finite_horizon_return
from tengen.planners.policies import TIE, greedy_policy, random_policy, tied_actions
from tengen.tables import TransitionTables
from tengen.types import Floats, Ints

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def gridworld(effort: Effort) -> Result:
    """Return the values of the random and of the optimal policy in the gridworld of chapter 3."""
    tables = tables_of("tengen/Gridworld-v0")
    uniform = policy_evaluation(tables, random_policy(tables), 0.9)
    best = value_iteration(tables, 0.9)
    expected = {
        "random policy": (uniform.v, "3.309 8.789 4.428 5.322 1.492"),
        "optimal": (best.v, "21.978 24.419 21.978 19.419 17.478"),
    }
    rows = [
        exact(f"{name}, v(row 1, column {column + 1})", v[column], text, settings="gamma 0.9")
        for name, (v, texts) in expected.items()
        for column, text in enumerate(texts.split())
    ]

    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, 2)
        for side, title, v in zip(
            axes, ("v, random policy", "v and policy, optimal"), (uniform.v, best.v), strict=True
        ):
            heat(side, v.reshape(5, 5), title)
            numbers(side, v.reshape(5, 5), "{:.1f}")
        arrows(axes[1], layout_of("tengen/Gridworld-v0"), tied_actions(best.q, tables.legal))

    return Result(rows, draw, (8, 4))


def small_gridworld(effort: Effort) -> Result:
    """Return the values of the random policy on the way to convergence, as figure 4.1 shows them."""
    tables = tables_of("tengen/SmallGridworld-v0")
    policy = random_policy(tables)
    final = evaluate_exactly(tables, policy, 1.0)
    rows = [
        exact(f"random policy, v(state {state})", final[state], text, settings="gamma 1")
        for state, text in ((1, "-14"), (2, "-20"), (3, "-22"), (5, "-18"), (6, "-20"))
    ]
    layout, sweeps = layout_of("tengen/SmallGridworld-v0"), (0, 1, 2, 3, 10)

    def draw(figure: Figure) -> None:
        axes = figure.subplots(2, 3).flat
        for side, count in zip(axes, [*sweeps, None], strict=True):
            v, q = after_sweeps(tables, policy, count, final)
            heat(side, v.reshape(4, 4), "k = infinity" if count is None else f"k = {count}")
            numbers(side, v.reshape(4, 4), "{:.1f}")
            arrows(side, layout, tied_actions(np.round(q, 6), tables.legal))

    return Result(rows, draw, (9, 6))


def after_sweeps(tables: TransitionTables, policy: Floats, sweeps: int | None, final: Floats) -> tuple[Floats, Floats]:
    """Return v [S] after some sweeps of policy evaluation from 0, or in the end, and q [S, A] by it."""
    v = np.zeros(tables.num_states) if sweeps is not None else final
    for _ in range(sweeps or 0):
        v = (policy * action_values(tables, v)).sum(1)
    return v, action_values(tables, v)


def action_values(tables: TransitionTables, v: Floats, gamma: float = 1.0) -> Floats:
    """Return q [S, A]: one backup of each state and action."""
    worth = tables.probability * (tables.reward + gamma * tables.discount * v[tables.next_state])
    return np.add.reduceat(worth, tables.start[:-1]).reshape(tables.num_states, tables.num_actions)


def car_rental(effort: Effort) -> Result:
    """Return the policies of policy iteration for Jack's car rental, and the final values."""
    tables = tables_of("tengen/JacksCarRental-v0")
    gamma, policies = 0.9, [np.full(441, 5)]
    while True:
        q = action_values(tables, policy_evaluation(tables, policies[-1], gamma, theta=1e-6).v, gamma)
        improved = greedy_policy(np.where(tables.legal, q, -np.inf))
        kept = q[np.arange(441), policies[-1]] >= q[np.arange(441), improved] - 1e-6
        improved = np.where(kept, policies[-1], improved)
        if np.array_equal(improved, policies[-1]):
            break
        policies.append(improved)
    plan = policy_iteration(tables, gamma)
    settings = "gamma 0.9, policy iteration from moving nothing"
    rows = [
        exact("improvements until the policy is optimal", len(policies) - 1, "4", gated=False, settings=settings),
        exact("lowest optimal value", plan.v.min(), settings=settings),
        exact("highest optimal value", plan.v.max(), settings=settings),
    ]

    def draw(figure: Figure) -> None:
        axes = figure.subplots(2, 3).ravel()
        for k, (side, policy) in enumerate(zip(axes, policies, strict=False)):
            image = side.imshow(policy.reshape(21, 21) - 5, origin="lower", cmap="RdBu", vmin=-5, vmax=5)
            side.set(title=f"policy {k}", xlabel="cars at 2nd", ylabel="cars at 1st")
        values = axes[5].imshow(plan.v.reshape(21, 21), origin="lower", cmap="viridis")
        axes[5].set(title="optimal value", xlabel="cars at 2nd")
        figure.colorbar(image, ax=axes[2], label="cars moved to 2nd")
        figure.colorbar(values, ax=axes[5])

    return Result(rows, draw, (10, 6))


def gambler(effort: Effort) -> Result:
    """Return the gambler's values and stakes, p = 0.4."""
    tables = tables_of("tengen/Gambler-v0")
    plan = value_iteration(tables, 1.0)
    rows = [
        exact(f"v({capital})", plan.v[capital], text, settings="p 0.4, gamma 1")
        for capital, text in ((25, "0.16"), (50, "0.4"), (75, "0.64"))
    ]
    sweeps = [np.zeros(101)]
    for _ in range(32):
        v = action_values(tables, sweeps[-1])
        sweeps.append(np.where(tables.legal, v, -np.inf).max(1))

    def draw(figure: Figure) -> None:
        values, stakes = figure.subplots(1, 2)
        capitals = np.arange(1, 100)
        for k in (1, 2, 3, 32):
            values.plot(capitals, sweeps[k][1:100], label=f"sweep {k}")
        values.plot(capitals, plan.v[1:100], "k", lw=1, label="final")
        values.set(xlabel="capital", ylabel="value")
        values.legend()
        stakes.step(capitals, plan.policy[1:100], where="mid")
        stakes.set(xlabel="capital", ylabel="stake, the least of the best")

    return Result(rows, draw, (9, 4))


def frozen_lake(effort: Effort) -> Result:
    """Return what can be reached on FrozenLake, and what policies greedy on Q* reach within the step limit."""
    tables, large = tables_of("FrozenLake-v1"), tables_of("FrozenLake-v1", map_name="8x8")
    rows = [
        exact("4x4, success, no limit", start_value(tables, 1.0), "0.823529", settings="gamma 1", note="14/17"),
        exact("4x4, best success in 100 steps", finite_horizon_optimum(tables, 100), "0.74419", settings="gamma 1"),
    ]
    rows += [
        exact(f"4x4, V(start), gamma {gamma:g}", start_value(tables, gamma), text)
        for gamma, text in ((0.9, "0.068891"), (0.95, "0.180472"), (0.99, "0.542026"))
    ]
    rows += [
        exact(
            f"{name}, greedy on Q*, gamma {gamma:g}", greedy_return(own, gamma, limit), text, settings=f"{limit} steps"
        )
        for name, own, limit, gamma, text in (
            ("4x4", tables, 100, 0.99, "0.7402"),
            ("8x8", large, 200, 0.99, "0.863"),
            ("8x8", large, 200, 0.995, "0.894"),
            ("8x8", large, 200, 0.999, "0.886"),
        )
    ]
    rows.append(exact("8x8, best success in 200 steps", finite_horizon_optimum(large, 200), "0.91322"))
    return Result(rows)


def start_value(tables: TransitionTables, gamma: float) -> float:
    """Return the optimal value of an episode's start."""
    return float(tables.initial @ value_iteration(tables, gamma).v)


def greedy_return(tables: TransitionTables, gamma: float, limit: int) -> float:
    """Return the expected undiscounted return, within the limit, of the policy that is greedy on Q* at a gamma."""
    return finite_horizon_return(tables, value_iteration(tables, gamma).policy, limit)


def taxi(effort: Effort) -> Result:
    """Return the optimal mean return of Taxi over its 300 starts."""
    spec = spec_of("Taxi-v4")
    assert spec.model is not None
    row = exact("optimal mean return over 300 starts", start_value(spec.model, 1.0), "7.93", settings="gamma 1")
    return Result([row])


def cliff_exact(effort: Effort) -> Result:
    """Return exact returns on the cliff, with exploration and without."""
    tables = tables_of("CliffWalking-v1")
    best = value_iteration(tables, 1.0)
    start, tied = tables.initial, tied_actions(best.q, tables.legal)
    right_first, down_first = tied.argmax(1), tables.num_actions - 1 - tied[:, ::-1].argmax(1)

    def with_exploration(actions: Ints) -> float:
        policy = epsilon_greedy(actions, tables.num_actions, 0.1)
        return float(start @ evaluate_exactly(tables, policy, 1.0))

    rows = [
        exact("optimal return", float(start @ best.v), "-13", settings="gamma 1"),
        exact(
            "greedy on Q*, ties to down, epsilon 0.1",
            with_exploration(down_first),
            "-51.813",
            settings="gamma 1",
            note="right and down tie on most of the grid; down is the way beside the cliff",
        ),
        exact("greedy on Q*, ties to right, epsilon 0.1", with_exploration(right_first), settings="gamma 1"),
        exact(
            "best epsilon-soft policy",
            best_exploring(tables, 0.1),
            "-20.708",
            settings="gamma 1, epsilon 0.1",
        ),
    ]
    return Result(rows)


def epsilon_greedy(actions: Ints, num_actions: int, epsilon: float) -> Floats:
    """Return the policy [S, A] that takes the given actions [S], or any with probability epsilon."""
    return epsilon / num_actions + (1 - epsilon) * np.eye(num_actions)[actions]


def best_exploring(tables: TransitionTables, epsilon: float) -> float:
    """Return the return of the best policy among those that are random with probability epsilon.

    By policy iteration among them (section 5.4): each is evaluated exactly.
    """
    states, actions = np.arange(tables.num_states), value_iteration(tables, 1.0).policy
    while True:
        v = evaluate_exactly(tables, epsilon_greedy(actions, tables.num_actions, epsilon), 1.0)
        q = action_values(tables, v)
        better = np.where(q[states, actions] < q.max(1) - TIE, q.argmax(1), actions)
        if np.array_equal(better, actions):
            return float(tables.initial @ v)
        actions = better


def windy(effort: Effort) -> Result:
    """Return the shortest ways through the windy gridworlds."""
    rows: list[Row] = []
    for name, kwargs, text in (
        ("four moves", {}, "15"),
        ("king's moves (exercise 6.9)", {"kings_moves": True}, "7"),
        ("king's moves and none (exercise 6.9)", {"kings_moves": True, "no_move": True}, "7"),
    ):
        steps = -start_value(tables_of("tengen/WindyGridworld-v0", **kwargs), 1.0)
        note = "" if not kwargs else "not in the book"
        rows.append(exact(f"steps at best, {name}", steps, text if not kwargs else "", note=note))
    return Result(rows)


ITEMS = (
    Item("gridworld", "Figures 3.2 and 3.5: gridworld", gridworld),
    Item("small_gridworld", "Figure 4.1: iterative policy evaluation", small_gridworld),
    Item("car_rental", "Figure 4.2: Jack's car rental", car_rental),
    Item("gambler", "Figure 4.3: the gambler's problem", gambler),
    Item("frozen_lake", "FrozenLake, exactly", frozen_lake),
    Item("taxi", "Taxi, exactly", taxi),
    Item("cliff_exact", "The cliff, exactly", cliff_exact),
    Item("windy_exact", "Example 6.5: windy gridworld, exactly", windy),
)
