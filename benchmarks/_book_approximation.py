"""Beyond tables of values: mountain car and the short corridor, chapters 10 and 13 of Sutton & Barto (2018).

R runs, E episodes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from _book_pictures import curve, finish
from _book_rows import exact, sampled
from _book_runs import Effort, Item, Result, in_threads, repeat, tables_of

from tengen.agents.linear import GreedyTiles, LinearAgent, SemiGradientSarsaConfig
from tengen.agents.reinforce import ReinforceConfig
from tengen.envs import EnvConfig, make_env
from tengen.loop import interact
from tengen.planners.exact import evaluate_exactly
from tengen.types import Floats, Ints

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CAR = EnvConfig("MountainCar-v0", kwargs={"max_episode_steps": 10_000})  # the book's episodes have no limit


def mountain_car(effort: Effort) -> Result:
    """Return how semi-gradient Sarsa learns to climb, by step size and n, and the cost-to-go."""
    num_episodes, num_runs = effort.runs(500, 15), effort.runs(10, 2)
    settings: dict[str, dict[str, Any]] = {
        "n 1, alpha 0.1/8": {"step_size": 0.1},
        "n 1, alpha 0.2/8": {"step_size": 0.2},
        "n 1, alpha 0.5/8": {"step_size": 0.5},
        "n 8, alpha 0.3/8": {"step_size": 0.3, "n_step": 8},
    }
    lengths: dict[str, Ints] = {}
    costs: dict[int, Floats] = {}
    for name, fields in settings.items():
        seeds = effort.seed_of(f"mountain car {name}").generate_state(num_runs, np.uint32).tolist()
        kept = costs if name == "n 1, alpha 0.5/8" else {}
        lengths[name] = np.array(
            in_threads(
                lambda own, f=fields, k=kept, s=seeds: [  # type: ignore[misc]  # binds f, k and s
                    climb(f, seed, num_episodes, k if seed == s[0] else {}) for seed in own
                ],
                seeds,
            )
        )
    rows = [
        sampled(f"mean steps of the last 10 of {num_episodes} episodes, {name}", own[:, -10:].mean(1),
                settings="8 tilings of 8 by 8, epsilon 0, gamma 1")
        for name, own in lengths.items()
    ]  # fmt: skip

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for name, own in lengths.items():
            curve(left, np.arange(1, num_episodes + 1), own, name)
        left.set(yscale="log", ylim=(90, 5_000))
        finish(left, f"mountain car, {num_runs} runs", "episodes", "steps per episode")
        episode, cost = max(costs.items())
        image = right.imshow(cost, origin="lower", extent=(-1.2, 0.6, -0.07, 0.07), aspect="auto")
        right.set(title=f"cost-to-go after episode {episode}", xlabel="position", ylabel="velocity")
        figure.colorbar(image, ax=right)

    return Result(rows, draw, (10, 4))


def climb(fields: dict[str, Any], seed: int, num_episodes: int, costs: dict[int, Floats]) -> Ints:
    """Return the steps of each episode [E]; the cost-to-go after the last one goes into `costs`."""
    env = make_env(_CAR, training=True)
    agent = SemiGradientSarsaConfig(**fields).build(env.spec, np.random.default_rng([seed, 1]), "cpu")
    assert isinstance(agent, LinearAgent)
    lengths, before = [], 0
    for tick in interact(agent, env, 10**9, seed):
        if tick.next_step.last[0]:
            lengths.append(tick.num_steps - before)
            before = tick.num_steps
            if len(lengths) == num_episodes:
                break
    env.close()
    policy = agent.policy()
    assert isinstance(policy, GreedyTiles)
    velocity, position = np.meshgrid(np.linspace(-0.07, 0.07, 40), np.linspace(-1.2, 0.5, 40), indexing="ij")
    costs[num_episodes] = policy.cost_to_go(np.stack([position.ravel(), velocity.ravel()], 1)).reshape(40, 40)
    return np.array(lengths)


def short_corridor(effort: Effort) -> Result:
    """Return how REINFORCE learns in the short corridor, with and without a baseline."""
    num_runs, num_episodes = effort.runs(100, 20), 1_000
    best = 2 - math.sqrt(2)
    rows = [
        exact("value of the best policy", corridor_value(best), note="about -11.6, says the text"),
        exact("right with probability 0.05 (epsilon-greedy left)", corridor_value(0.05), "-82", gated=False),
        exact("right with probability 0.95 (epsilon-greedy right)", corridor_value(0.95), "-44", gated=False),
    ]
    configs = {f"alpha 2^{k}": ReinforceConfig(policy_step_size=2.0**k, baseline=False, **_CORRIDOR) for k in
               (-12, -13, -14)}  # fmt: skip
    configs["baseline, alpha 2^-9 and 2^-6"] = ReinforceConfig(
        policy_step_size=2.0**-9, baseline=True, baseline_step_size=2.0**-6, **_CORRIDOR
    )
    returns = {
        name: np.array(
            repeat(config, "tengen/ShortCorridor-v0", effort, num_runs, name, lambda t: t.episodes(num_episodes)[0])
        )
        for name, config in configs.items()
    }
    settings = "gamma 1, right with probability 0.05 at first, at most 10000 steps"
    for name, own in returns.items():
        late = own[:, 900:].mean(1)
        stuck = late < -1_000
        rows += [
            sampled(
                f"mean return of episodes 901-1000, {name}", late[~stuck], settings=settings, note="but for stuck runs"
            ),
            sampled(f"% of runs stuck at the end, {name}", 100.0 * stuck, settings=settings, note="below -1000 a mean"),
        ]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for name, own in returns.items():
            tens = own.reshape(num_runs, -1, 10).mean(2)
            axes.plot(np.arange(5, num_episodes, 10), np.median(tens, 0), label=name, lw=1.2)
        axes.axhline(corridor_value(best), color="0.5", ls=":", label="best")
        axes.set_ylim(-90, -10)
        finish(axes, f"REINFORCE, short corridor, median of {num_runs} runs", "episodes", "return, mean of 10 episodes")

    return Result(rows, draw)


_CORRIDOR: dict[str, Any] = {"gamma": 1.0, "initial_preferences": (1.47, -1.47)}


def corridor_value(right: float) -> float:
    """Return the exact value of the policy that goes right with a probability."""
    tables = tables_of("tengen/ShortCorridor-v0")
    policy = np.tile([1 - right, right], (tables.num_states, 1))
    return float(tables.initial @ evaluate_exactly(tables, policy, 1.0))


ITEMS = (
    Item("mountain_car", "Figures 10.1 to 10.3: mountain car", mountain_car),
    Item("short_corridor", "Figures 13.1 and 13.2: REINFORCE", short_corridor),
)
