"""Models learned from experience against slow twins that keep all of it, and the exact model.

S states, A actions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from planner_helpers import Dense, random_tables, toy

from tengen.agents._trees import arrays_of, load_arrays
from tengen.agents.dyna.build import learned_model  # noqa: F401  # marks the outcomes as a memory that grows
from tengen.contracts import EnumerableModel
from tengen.errors import UserError
from tengen.planners import CountModel, DeterministicModel, ExactModel, value_iteration
from tengen.planners._model_kernels import first_before, imagine, next_before, pair_before
from tengen.planners.models import empty_counts, empty_last_outcomes
from tengen.tables import TransitionTables
from tengen.types import Array, Bools, Ints, Transition

S, A = 6, 3


class Step(NamedTuple):
    s: int
    a: int
    r: float
    discount: float
    s_next: int


Outcomes = dict[tuple[int, float], tuple[float, float]]  # next state, discount -> probability, mean reward


def experience(seed: int, num_steps: int, num_states: int = S) -> list[Step]:
    """Steps without rhyme or reason, of some pairs more often than of others; some pairs are never tried."""
    rng = np.random.default_rng(seed)
    steps = []
    for _ in range(num_steps):
        s, a = int(rng.integers(num_states) * rng.random()), int(rng.integers(A))
        if (s + a) % 5 != 4:
            discount = float(rng.choice([1.0, 1.0, -1.0, 0.0, 0.5]))
            steps.append(Step(s, a, float(rng.normal()), discount, int(rng.integers(num_states))))
    return steps


def batch_of(steps: list[Step], next_legal: Bools | None = None) -> Transition:
    s, a, r, discount, s_next = (np.array(column) for column in zip(*steps, strict=True))
    return Transition(s, a, r, discount, s_next, next_legal)


def as_numbers(observation: Array) -> Ints:
    return np.asarray(observation, np.int64)


class Twin:
    """Keeps every step, and works everything out of them when asked."""

    def __init__(self, last_only: bool) -> None:
        self.steps: list[Step] = []
        self.last_only = last_only

    def tried(self) -> list[tuple[int, int]]:
        return list(dict.fromkeys((step.s, step.a) for step in self.steps))

    def outcomes(self, s: int, a: int) -> Outcomes:
        seen = [step for step in self.steps if (step.s, step.a) == (s, a)]
        seen = seen[-1:] if self.last_only else seen
        found: Outcomes = {}
        for key in dict.fromkeys((step.s_next, step.discount) for step in seen):
            rewards = [step.r for step in seen if (step.s_next, step.discount) == key]
            found[key] = (len(rewards) / len(seen), float(np.mean(rewards)))
        return found

    def before(self, s: int) -> list[tuple[int, int]]:
        """The pairs of each outcome that leads to a state and goes on."""
        return sorted(
            pair for pair in self.tried() for s_next, discount in self.outcomes(*pair) if s_next == s and discount != 0
        )


MAKERS: dict[str, Callable[..., Any]] = {
    "last": lambda num_states=S, **settings: DeterministicModel(
        empty_last_outcomes(num_states, A, with_predecessors=True), as_numbers, **settings
    ),
    "counts": lambda num_states=S, **settings: CountModel(empty_counts(num_states, A), as_numbers, **settings),
}


def grown(kind: str, steps: list[Step], **settings: Any) -> Iterator[tuple[Any, Twin]]:
    """A model and its twin, after batches of 1 to 30 steps."""
    model, twin = MAKERS[kind](**settings), Twin(kind == "last")
    sizes, at = np.random.default_rng(0), 0
    while at < len(steps):
        batch = steps[at : at + int(sizes.integers(1, 31))]
        model.update(batch_of(batch))
        twin.steps += batch
        at += len(batch)
        yield model, twin


def told(tables: TransitionTables, s: int, a: int) -> Outcomes:
    """What tables say of a pair, in a twin's words."""
    rows = tables.outcomes(s, a)
    found = {(s_next, discount): (p, r) for p, s_next, r, discount in rows}
    assert len(found) == len(rows)
    return found


def list_before(model: Any, s: int) -> list[tuple[int, int]]:
    pairs, outcome = [], first_before(model.learned, s)
    while outcome >= 0:
        pairs.append(divmod(int(pair_before(model.learned, outcome)), A))
        outcome = next_before(model.learned, outcome)
        assert len(pairs) < 10_000, "the list goes round in circles"
    return sorted(pairs)


def assert_told(found: Outcomes, expected: Outcomes) -> None:
    assert found.keys() == expected.keys()
    for key, (probability, reward) in expected.items():
        assert found[key] == pytest.approx((probability, reward))


@pytest.mark.parametrize("kind", MAKERS)
def test_a_models_tables_say_what_it_has_seen(kind: str) -> None:
    for model, twin in grown(kind, experience(0, 300)):
        tables = model.tables()
        for s, a in np.ndindex(S, A):
            nothing_known = {(s, 1.0): (1.0, 0.0)}
            assert_told(told(tables, s, a), twin.outcomes(s, a) or nothing_known)
        acted_in = {step.s for step in twin.steps}
        np.testing.assert_allclose(tables.initial, [(s in acted_in) / len(acted_in) for s in range(S)])


@pytest.mark.parametrize("kind", MAKERS)
def test_what_leads_to_a_state_is_listed_as_outcomes_come_and_change(kind: str) -> None:
    for model, twin in grown(kind, experience(1, 250)):
        assert [list_before(model, s) for s in range(S)] == [twin.before(s) for s in range(S)]


@pytest.mark.parametrize("kind", MAKERS)
def test_what_was_tried_is_listed_in_the_order_of_its_first_time_and_dated_by_its_last(kind: str) -> None:
    for model, twin in grown(kind, experience(2, 120)):
        known = model.learned.known
        assert known.pairs[: known.size[1]].tolist() == [s * A + a for s, a in twin.tried()]
        assert known.states[: known.size[0]].tolist() == list(dict.fromkeys(s for s, _ in twin.tried()))
        dates = {(step.s, step.a): clock for clock, step in enumerate(twin.steps)}
        assert known.last_try.tolist() == [dates.get((s, a), -1) for s, a in np.ndindex(S, A)]


@pytest.mark.parametrize("kind", MAKERS)
def test_a_model_imagines_as_often_as_it_saw(kind: str) -> None:
    *_, (model, twin) = grown(kind, experience(3, 150))
    rng, num = np.random.default_rng(0), 2_000
    for s, a in ((0, 0), (0, 1), (1, 2)):
        next_states, rewards, discounts = model.step(np.full(num, s), np.full(num, a), rng)
        expected = twin.outcomes(s, a)
        assert len(expected) > (kind == "counts")
        found: Outcomes = {}
        for key in set(zip(next_states.tolist(), discounts.tolist(), strict=True)):
            own = (next_states == key[0]) & (discounts == key[1])
            assert np.ptp(rewards[own]) == 0
            found[key] = (float(own.mean()), float(rewards[own][0]))
        assert found.keys() == expected.keys()
        for key, (probability, reward) in expected.items():
            assert found[key][0] == pytest.approx(probability, abs=0.04)  # 4 standard errors
            assert found[key][1] == pytest.approx(reward)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_pair_that_was_never_tried_leads_back_without_reward(kind: str) -> None:
    *_, (model, twin) = grown(kind, experience(3, 50))
    assert (4, 0) not in twin.tried()
    assert tuple(imagine(model.learned, 4, 0, np.random.default_rng(0))) == (0.0, 1.0, 4)
    next_states, rewards, discounts = model.step(np.array([4, 3]), np.array([0, 1]), np.random.default_rng(0))
    assert (next_states.tolist(), rewards.tolist(), discounts.tolist()) == ([4, 3], [0.0, 0.0], [1.0, 1.0])


@pytest.mark.parametrize("kind", MAKERS)
def test_a_pair_that_was_never_tried_can_be_worth_a_try(kind: str) -> None:
    *_, (model, twin) = grown(kind, experience(3, 50), unvisited_value=7.5)
    tables = model.tables()
    for s, a in np.ndindex(S, A):
        assert_told(told(tables, s, a), twin.outcomes(s, a) or {(s, 0.0): (1.0, 7.5)})
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(UserError, match="unvisited_value must be finite, got"):
            MAKERS[kind](unvisited_value=wrong)


def test_a_model_of_counts_grows_without_forgetting() -> None:
    model, twin = MAKERS["counts"](20), Twin(last_only=False)
    room = model.learned.outcomes.pair.shape[1]
    twin.steps = experience(4, 3_000, 20)
    for at in range(0, len(twin.steps), 17):
        model.update(batch_of(twin.steps[at : at + 17]))
        assert model.learned.outcomes.length[0] <= model.learned.outcomes.pair.shape[1]
    assert model.learned.outcomes.length[0] > 8 * room
    tables = model.tables()
    for s, a in twin.tried():
        assert_told(told(tables, s, a), twin.outcomes(s, a))
    assert [list_before(model, s) for s in range(20)] == [twin.before(s) for s in range(20)]


@pytest.mark.parametrize("kind", MAKERS)
def test_a_model_goes_on_from_its_saved_arrays(kind: str) -> None:
    steps = experience(5, 400)
    straight, first, second = (MAKERS[kind]() for _ in range(3))
    straight.update(batch_of(steps))
    first.update(batch_of(steps[:150]))
    second.learned = load_arrays(second.learned, arrays_of(first.learned))
    again = type(second)(second.learned, as_numbers)  # knows from the arrays how many steps it was shown
    again.update(batch_of(steps[150:]))
    saved, expected = flat(arrays_of(again.learned)), flat(arrays_of(straight.learned))
    assert saved.keys() == expected.keys()
    assert len(saved) >= 9
    for name, array in expected.items():
        np.testing.assert_array_equal(saved[name], array, err_msg=name)


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Array]:
    found: dict[str, Array] = {}
    for name, branch in tree.items():
        found |= flat(branch, f"{prefix}{name}.") if isinstance(branch, dict) else {prefix + name: branch}
    return found


@pytest.mark.parametrize("empty", [empty_last_outcomes, empty_counts])
def test_legal_actions_are_those_of_the_latest_look_at_a_state_that_goes_on(empty: Callable[..., Any]) -> None:
    kind = DeterministicModel if empty is empty_last_outcomes else CountModel
    model = kind(empty(S, A, has_legal=True), as_numbers)
    legal = np.array([[True, False, True], [False, True, True], [True, True, False], [True, True, True]])
    model.update(batch_of([Step(0, 0, 0.0, d, s) for d, s in ((1.0, 1), (1.0, 2), (-1.0, 1), (0.0, 2))], legal))
    assert model.tables().legal.tolist() == [
        [True] * 3,
        [True, True, False],
        [False, True, True],  # the last row ended an episode: its mask says nothing
        *[[True] * 3] * 3,
    ]


@pytest.mark.parametrize("kind", MAKERS)
def test_with_enough_experience_planning_in_a_model_is_planning_in_the_world(kind: str) -> None:
    tables = toy("FrozenLake-v1", is_slippery=kind == "counts")
    world, rng = ExactModel(tables), np.random.default_rng(0)
    model = MAKERS[kind](tables.num_states)
    model.learned = (empty_last_outcomes if kind == "last" else empty_counts)(tables.num_states, tables.num_actions)
    times = 1 if kind == "last" else 2_000
    s, a = (grid.ravel().repeat(times) for grid in np.indices((tables.num_states, tables.num_actions)))
    s_next, r, discount = world.step(s, a, rng)
    reported = model.update(Transition(s, a, r, discount, s_next))
    assert reported == {"model/states": 16, "model/pairs": 64}
    tolerance = 1e-9 if kind == "last" else 0.05
    expected = value_iteration(tables, 0.9).v
    np.testing.assert_allclose(value_iteration(model.tables(), 0.9).v, expected, atol=tolerance)
    assert expected.max() > 0.5


@pytest.mark.parametrize("discounts", [(0.0, 1.0), (-1.0, 0.5)])
def test_an_exact_model_draws_what_its_tables_say(discounts: tuple[float, float]) -> None:
    tables = random_tables(0, discounts)
    model, rng, num = ExactModel(tables), np.random.default_rng(0), 3_000
    assert model.tables() is tables
    assert model.update(batch_of(experience(0, 5))) == {}
    exact = Dense(tables, 1.0)
    for s, a in np.ndindex(tables.num_states, tables.num_actions):
        next_states, rewards, factors = model.step(np.full(num, s), np.full(num, a), rng)
        follows = np.bincount(next_states, factors, tables.num_states) / num
        np.testing.assert_allclose(follows, exact.follows[s, a], atol=0.04)
        assert rewards.mean() == pytest.approx(exact.rewards[s, a], abs=0.12)


def test_an_exact_models_rewards_are_as_noisy_as_the_worlds() -> None:
    tables = random_tables(1)
    noise = np.arange(len(tables.probability)) / 10
    _, quiet, _ = ExactModel(tables).step(np.zeros(4_000, int), np.zeros(4_000, int), np.random.default_rng(0))
    model = ExactModel(tables._replace(noise=noise))
    _, rewards, _ = model.step(np.zeros(4_000, int), np.zeros(4_000, int), np.random.default_rng(0))
    for n, (_, _, r, _) in enumerate(tables.outcomes(0, 0)):
        assert (rewards - quiet)[quiet == r].std() == pytest.approx(noise[n], rel=0.1)


def test_an_exact_model_tells_states_by_their_observations_or_refuses() -> None:
    tables = random_tables(0)._replace(observation=np.array([7, 2, 3, 5, 0, 1]))
    assert ExactModel(tables).encode(np.array([0, 7, 5])).tolist() == [4, 0, 3]
    with pytest.raises(UserError, match=r"6 states have 5 different observations: .* an observation of its own"):
        ExactModel(tables._replace(observation=np.array([7, 2, 3, 5, 0, 7])))


def test_the_models_keep_the_contract() -> None:
    for model in (MAKERS["last"](), MAKERS["counts"](), ExactModel(random_tables(0))):
        assert isinstance(model, EnumerableModel)
        assert model.num_actions == A
