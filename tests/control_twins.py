"""Slow, obvious twins of the tabular control learners, and random experience to compare them on.

S states, A actions, B environments side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Discrete

from tengen.agents._learner_kernels import Outcome, act, update
from tengen.returns import n_step_returns
from tengen.types import Array, Bools, EnvSpec, Floats

S, A = 7, 3
ALL_LEGAL = np.ones(0, np.bool_)


def spec(num_states: int = S, num_actions: int = A, num_envs: int = 1) -> EnvSpec:
    return EnvSpec("test", Discrete(num_states), Discrete(num_actions), num_envs)


def learner_of(config: Any, num_envs: int = 1, num_states: int = S, values_seed: int | None = None) -> Any:
    """The learner that a config builds, its values drawn at random if a seed is given."""
    learner = config.build(spec(num_states, num_envs=num_envs), np.random.default_rng(0), "cpu").learner
    if values_seed is not None:
        learner.q[:] = np.random.default_rng(values_seed).normal(size=learner.q.shape)
    return learner


class Turn(NamedTuple):
    """One step of one row, without the action."""

    row: int
    s: int
    legal: Bools
    r_next: float
    discount: float
    s_next: int
    last: bool
    legal_next: Bools


def turns(
    seed: int, num_steps: int, num_envs: int, num_states: int = S, *, masked: bool = True
) -> Iterator[list[Turn]]:
    """Experience of every kind that can be: the sides alternate or not, values cut within an episode, episodes
    terminated and truncated. States follow on one another whatever the action."""
    rng = np.random.default_rng(seed)

    def legal() -> Bools:
        mask = rng.random(A) < 0.6
        mask[rng.integers(A)] = True
        return mask if masked else ALL_LEGAL

    now = [(int(rng.integers(num_states)), legal()) for _ in range(num_envs)]
    for _ in range(num_steps):
        turn = []
        for row, (s, mask) in enumerate(now):
            discount = float(rng.choice([1.0, -1.0, 0.6, 0.0], p=[0.55, 0.25, 0.1, 0.1]))
            last = bool(rng.random() < (0.5 if discount == 0.0 else 0.07))
            s_next, mask_next = int(rng.integers(num_states)), legal()
            turn.append(Turn(row, s, mask, float(rng.normal()), discount, s_next, last, mask_next))
            now[row] = (int(rng.integers(num_states)), legal()) if last else (s_next, mask_next)
        yield turn


def compare(learner: Any, twin: Twin, experience: Iterator[list[Turn]], seed: int = 0, tolerance: float = 1e-12) -> int:
    """Show both the same experience; they must act alike and have the same values at each step. Returns the steps."""
    rng, twin.rng = np.random.default_rng(seed), np.random.default_rng(seed)
    clock = 0
    for now in experience:
        actions = [act(learner, turn.row, turn.s, turn.legal, clock, rng) for turn in now]
        assert actions == [twin.act(turn.row, turn.s, turn.legal, clock) for turn in now], clock
        for turn, a in zip(now, actions, strict=True):
            outcome = Outcome(turn.s, a, turn.r_next, turn.discount, turn.s_next, turn.last)
            update(learner, turn.row, outcome, turn.legal_next, clock, rng)
            twin.update(turn.row, outcome, turn.legal_next, clock)
            np.testing.assert_allclose(learner.q, twin.values(), rtol=tolerance, atol=tolerance, err_msg=f"{clock}")
        clock += len(now)
    assert rng.random() == twin.rng.random()  # as many draws
    return clock


class Twin:
    """Acts epsilon-greedily on a table. `config` gives the settings."""

    rng: np.random.Generator

    def __init__(self, config: Any, q: Floats) -> None:
        self.config = config
        self.q = q.copy()
        self.visits = np.zeros(q.shape)

    def values(self) -> Floats:
        return self.q

    def epsilon(self, clock: int) -> float:
        c = self.config
        return float(np.interp(clock, [0, c.epsilon_decay_steps], [c.epsilon_start, c.epsilon_end]))

    def alpha(self, s: int, a: int, clock: int) -> float:
        c = self.config
        end = c.step_size if c.step_size_end is None else c.step_size_end
        self.visits[s, a] += 1
        size = np.interp(clock, [0, c.step_size_decay_steps], [c.step_size, end])
        return float(size / self.visits[s, a] ** c.step_size_power)

    def allowed(self, legal: Bools) -> list[int]:
        return [a for a in range(A) if not len(legal) or legal[a]]

    def best(self, s: int, legal: Bools) -> list[int]:
        top = max(self.q[s, a] for a in self.allowed(legal))
        return [a for a in self.allowed(legal) if self.q[s, a] == top]

    def choose(self, s: int, legal: Bools, clock: int) -> int:
        explores = self.rng.random() < self.epsilon(clock)
        among = self.allowed(legal) if explores else self.best(s, legal)
        return among[0] if not explores and len(among) == 1 else among[int(self.rng.random() * len(among))]

    def policy(self, s: int, legal: Bools, epsilon: float) -> Array:
        """Probabilities of the actions under an epsilon-greedy policy."""
        p = np.zeros(A)
        for a in self.allowed(legal):
            p[a] += epsilon / len(self.allowed(legal))
        for a in self.best(s, legal):
            p[a] += (1 - epsilon) / len(self.best(s, legal))
        return p

    def act(self, row: int, s: int, legal: Bools, clock: int) -> int:
        return self.choose(s, legal, clock)

    def update(self, row: int, outcome: Outcome, legal: Bools, clock: int) -> None:
        raise NotImplementedError

    def move(self, s: int, a: int, target: float, clock: int) -> None:
        self.q[s, a] += self.alpha(s, a, clock) * (target - self.q[s, a])


class QLearningTwin(Twin):
    def update(self, row: int, outcome: Outcome, legal: Bools, clock: int) -> None:
        s, a, r, d, s_next, _ = outcome
        best = max(self.q[s_next, b] for b in self.allowed(legal))
        self.move(s, a, r + self.config.gamma * d * best, clock)


class ExpectedSarsaTwin(Twin):
    def update(self, row: int, outcome: Outcome, legal: Bools, clock: int) -> None:
        s, a, r, d, s_next, _ = outcome
        expected = self.policy(s_next, legal, self.epsilon(clock)) @ self.q[s_next]
        self.move(s, a, r + self.config.gamma * d * expected, clock)


class DoubleQLearningTwin(Twin):
    def __init__(self, config: Any, q: Floats) -> None:
        super().__init__(config, q)
        self.both = [q.copy(), q.copy()]
        self.counters = [np.zeros(q.shape), np.zeros(q.shape)]
        self.q = self.both[0] + self.both[1]

    def update(self, row: int, outcome: Outcome, legal: Bools, clock: int) -> None:
        s, a, r, d, s_next, _ = outcome
        heads = self.rng.random() < 0.5
        own, other = self.both if heads else self.both[::-1]
        self.visits = self.counters[0 if heads else 1]
        value = 0.0
        if d != 0:
            top = max(own[s_next, b] for b in self.allowed(legal))
            best = [b for b in self.allowed(legal) if own[s_next, b] == top]
            value = other[s_next, best[int(self.rng.random() * len(best)) if len(best) > 1 else 0]]
        own[s, a] += self.alpha(s, a, clock) * (r + self.config.gamma * d * value - own[s, a])
        self.q[s, a] = own[s, a] + other[s, a]


class OnPolicyTwin(Twin):
    """Decides on its next action while it learns, except where the episode has terminated."""

    def __init__(self, config: Any, q: Floats) -> None:
        super().__init__(config, q)
        self.decided: dict[int, int] = {}

    def act(self, row: int, s: int, legal: Bools, clock: int) -> int:
        return self.decided[row] if row in self.decided else self.choose(s, legal, clock)

    def next_value(self, row: int, outcome: Outcome, legal: Bools, clock: int) -> float:
        self.decided.pop(row, None)
        if outcome.last and outcome.discount_t == 0:
            return 0.0
        action = self.choose(outcome.s_t, legal, clock)
        if not outcome.last:
            self.decided[row] = action
        return float(self.q[outcome.s_t, action])


class SarsaTwin(OnPolicyTwin):
    def update(self, row: int, outcome: Outcome, legal: Bools, clock: int) -> None:
        s, a, r, d, _, _ = outcome
        self.move(s, a, r + self.config.gamma * d * self.next_value(row, outcome, legal, clock), clock)


class NStepSarsaTwin(OnPolicyTwin):
    """Keeps a row's steps since its last cut, and has `tengen.returns` sum those that are due."""

    def __init__(self, config: Any, q: Floats) -> None:
        super().__init__(config, q)
        self.waiting: dict[int, list[tuple[Outcome, float]]] = {}

    def update(self, row: int, outcome: Outcome, legal: Bools, clock: int) -> None:
        if self.config.expected:
            value = float(self.policy(outcome.s_t, legal, self.epsilon(clock)) @ self.q[outcome.s_t])
        else:
            value = self.next_value(row, outcome, legal, clock)
        waiting = self.waiting.setdefault(row, [])
        waiting.append((outcome, value))
        columns = [
            np.array([[step.r_t, step.discount_t, value, step.last]]) for step, value in waiting
        ]  # of each step [1, 4]
        r, d, v, last = np.stack(columns).transpose(2, 0, 1)  # [T, 1] each
        targets = n_step_returns(r, d, v, last.astype(bool), n=self.config.n_step, gamma=self.config.gamma)[:, 0]
        cut = outcome.last or outcome.discount_t == 0
        while waiting and (cut or len(waiting) == self.config.n_step):
            first = waiting.pop(0)[0]
            self.move(first.s_tm1, first.a_tm1, float(targets[len(targets) - len(waiting) - 1]), clock)


class QSigmaTwin(Twin):
    """S&B eq. 7.17, word for word and recursively; with sigma 0 eq. 7.16 as well."""

    def __init__(self, config: Any, q: Floats, sigma: float) -> None:
        super().__init__(config, q)
        self.sigma = sigma
        self.waiting: dict[int, list[tuple[Outcome, Bools, float]]] = {}
        self.ratio: dict[int, float] = {}

    def target_policy(self, s: int, legal: Bools, clock: int) -> Array:
        target = self.config.target_epsilon
        return self.policy(s, legal, self.epsilon(clock) if target is None else target)

    def act(self, row: int, s: int, legal: Bools, clock: int) -> int:
        a = self.choose(s, legal, clock)
        behaviour = self.policy(s, legal, self.epsilon(clock))
        self.ratio[row] = self.target_policy(s, legal, clock)[a] / behaviour[a]
        return a

    def n_step_return(self, steps: list[tuple[Outcome, Bools, float]], clock: int) -> float:
        (_, _, r, d, s_next, _), legal, _ = steps[0]
        pi = self.target_policy(s_next, legal, clock)
        q, g = self.q[s_next], float(self.config.gamma)
        if len(steps) == 1:
            return r + g * d * float(pi @ q)
        a, ratio = steps[1][0].a_tm1, steps[1][2]
        longer = self.n_step_return(steps[1:], clock)
        if self.sigma == 0:  # eq. 7.16
            return r + g * d * float(sum(pi[b] * q[b] for b in range(A) if b != a) + pi[a] * longer)
        weight = self.sigma * ratio + (1 - self.sigma) * pi[a]
        return r + g * d * float(weight * (longer - q[a]) + pi @ q)

    def update(self, row: int, outcome: Outcome, legal: Bools, clock: int) -> None:
        waiting = self.waiting.setdefault(row, [])
        waiting.append((outcome, legal, self.ratio[row]))
        cut = outcome.last or outcome.discount_t == 0
        while waiting and (cut or len(waiting) == self.config.n_step):
            target = self.n_step_return(waiting, clock)
            first = waiting.pop(0)[0]
            self.move(first.s_tm1, first.a_tm1, target, clock)


class TraceTwin(OnPolicyTwin):
    """Keeps a dense table of traces for each row and drops none: the book's boxes, with a constant step size."""

    def __init__(self, config: Any, q: Floats) -> None:
        super().__init__(config, q)
        self.z: dict[int, Floats] = {}
        self.q_old: dict[int, float] = {}

    def learn(self, row: int, outcome: Outcome, q_next: float) -> None:
        s, a, r, d, _, last = outcome
        c, z = self.config, self.z.setdefault(row, np.zeros_like(self.q))
        alpha, q_old, q_now = c.step_size, self.q_old.get(row, 0.0), self.q[s, a]
        delta = r + c.gamma * d * q_next - q_now
        if c.traces == "accumulating":
            z[s, a] += 1
        elif c.traces == "replacing":
            z[s, a] = 1
        else:  # z was multiplied by gamma lambda d behind the step before
            z[s, a] = (1 - alpha) * z[s, a] + 1
        if c.traces == "dutch":  # S&B page 307
            self.q += alpha * (delta + q_now - q_old) * z
            self.q[s, a] -= alpha * (q_now - q_old)
        else:
            self.q += alpha * delta * z
        z *= 0.0 if last else c.gamma * c.trace_decay * d
        self.q_old[row] = 0.0 if last or d == 0 else q_next


class SarsaLambdaTwin(TraceTwin):
    def update(self, row: int, outcome: Outcome, legal: Bools, clock: int) -> None:
        self.learn(row, outcome, self.next_value(row, outcome, legal, clock))


class QLambdaTwin(TraceTwin):
    def act(self, row: int, s: int, legal: Bools, clock: int) -> int:
        a = self.choose(s, legal, clock)
        if a not in self.best(s, legal):
            self.z[row] = np.zeros_like(self.q)
        return a

    def update(self, row: int, outcome: Outcome, legal: Bools, clock: int) -> None:
        self.learn(row, outcome, max(self.q[outcome.s_t, b] for b in self.allowed(legal)))
