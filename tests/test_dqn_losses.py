"""Each loss of DQN against plain loops that were written from the papers' equations."""

from __future__ import annotations

from math import ceil, exp, floor, log
from typing import Any

import numpy as np
import pytest
import torch
from dqn_parts_helpers import NUM_ACTIONS, build_torch_learner, enlarge_outputs, random_batch
from numpy.typing import NDArray

from tengen.agents.dqn.heads import Quantiles
from tengen.agents.dqn.learner import TorchLearner
from tengen.agents.dqn.losses import categorical_loss, greedy_action, project, q_learning_target, quantile_loss
from tengen.types import Transition

Singles = NDArray[np.float32]
Doubles = NDArray[np.float64]

# ---- The papers' equations, a transition at a time. -----------------------------------------------------------------


def projected(positions: Doubles, weights: Doubles, v_min: float, v_max: float, num_atoms: int) -> Doubles:
    """Bellemare et al. (2017), algorithm 1; where b is whole, l = u takes all (by the paper's lines: nothing)."""
    spacing = (v_max - v_min) / (num_atoms - 1)
    m = np.zeros(num_atoms)
    for position, p in zip(positions, weights, strict=True):
        b = (min(max(position, v_min), v_max) - v_min) / spacing
        low, high = floor(b), ceil(b)
        if low == high:
            m[low] += p
        else:
            m[low] += p * (high - b)
            m[high] += p * (b - low)
    return m


def softmax(logits: Doubles) -> Doubles:
    total = sum(exp(x) for x in logits)
    return np.array([exp(x) / total for x in logits])


def cross_entropy(target: Doubles, logits: Doubles) -> float:
    return -sum(float(m) * log(p) for m, p in zip(target, softmax(logits), strict=True))


def huber(u: float, kappa: float) -> float:
    """Dabney et al. (2018), equation 9."""
    return 0.5 * u * u if abs(u) <= kappa else kappa * (abs(u) - 0.5 * kappa)


def quantile_huber(theta: Doubles, target: Doubles, kappa: float) -> float:
    """Dabney et al. (2018), equation 10 and algorithm 1: sum over i of the mean over j; kappa 0: equation 8."""
    total = 0.0
    for i in range(len(theta)):
        tau_hat = (2 * (i + 1) - 1) / (2 * len(theta))  # the midpoint of tau_{i-1} = (i-1)/N and tau_i = i/N
        for j in range(len(target)):
            u = target[j] - theta[i]
            size = huber(u, kappa) / kappa if kappa > 0 else abs(u)
            total += abs(tau_hat - (1.0 if u < 0 else 0.0)) * size / len(target)
    return total


# ---- C51. -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("v_min", "v_max", "num_atoms"), [(-10.0, 10.0, 51), (-1.0, 1.0, 2), (0.0, 7.0, 8)])
def test_projection_is_algorithm_1_of_the_paper(v_min: float, v_max: float, num_atoms: int) -> None:
    rng = np.random.default_rng(0)
    support = np.linspace(v_min, v_max, num_atoms)
    for _ in range(20):
        positions = rng.normal(scale=v_max, size=(6, num_atoms))
        positions[0] = support  # on the atoms
        positions[1] = support * -0.99  # the other side's
        positions[2] = rng.choice([v_min - 3, v_min, v_max, v_max + 100], num_atoms)
        weights = rng.dirichlet(np.ones(num_atoms), 6)
        got = project(torch.from_numpy(positions), torch.from_numpy(weights), torch.from_numpy(support)).numpy()
        for row in range(6):
            expected = projected(positions[row], weights[row], v_min, v_max, num_atoms)
            np.testing.assert_allclose(got[row], expected, atol=1e-12)
        np.testing.assert_allclose(got[0], weights[0], atol=1e-12)


def test_projection_keeps_all_probability_and_the_mean_of_what_lies_on_the_support() -> None:
    rng = np.random.default_rng(1)
    support = torch.linspace(-10, 10, 51)
    position = torch.from_numpy(rng.uniform(-10, 10, (64, 51)).astype(np.float32))
    weight = torch.from_numpy(rng.dirichlet(np.ones(51), 64).astype(np.float32))
    got = project(position, weight, support)
    torch.testing.assert_close(got.sum(1), torch.ones(64))
    torch.testing.assert_close(got @ support, (position * weight).sum(1), atol=1e-4, rtol=1e-4)


def test_the_other_sides_distribution_is_mirrored_on_a_symmetric_support() -> None:
    support = torch.linspace(-1, 1, 5)
    probability = torch.tensor([[0.5, 0.3, 0.1, 0.1, 0.0]])
    position = q_learning_target(torch.zeros(1), torch.tensor([-1.0]), support[None])
    torch.testing.assert_close(project(position, probability, support), probability.flip(1))


def test_a_transition_that_ends_puts_all_probability_around_its_reward() -> None:
    support = torch.linspace(-2, 2, 5)
    probability = torch.tensor([[0.1, 0.2, 0.3, 0.2, 0.2]])
    position = q_learning_target(torch.tensor([0.25]), torch.tensor([0.0]), support[None])
    torch.testing.assert_close(
        project(position, probability, support), torch.tensor([[0.0, 0.0, 0.75, 0.25, 0.0]]), atol=1e-6, rtol=0
    )


def test_the_categorical_loss_is_the_cross_entropy() -> None:
    rng = np.random.default_rng(2)
    logits, target = rng.normal(scale=3, size=(16, 11)), rng.dirichlet(np.ones(11), 16)
    got = categorical_loss(torch.from_numpy(logits), torch.from_numpy(target)).numpy()
    np.testing.assert_allclose(got, [cross_entropy(t, x) for t, x in zip(target, logits, strict=True)], rtol=1e-10)


# ---- QR-DQN. --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kappa", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("num_quantiles", [1, 5, 32])
def test_the_quantile_loss_is_equation_10(kappa: float, num_quantiles: int) -> None:
    rng = np.random.default_rng(3)
    theta, target = rng.normal(size=(8, num_quantiles)), rng.normal(size=(8, num_quantiles))
    target[0] = theta[0]  # some errors are 0
    weight = np.full_like(target, 1 / num_quantiles)
    got = quantile_loss(torch.from_numpy(theta), torch.from_numpy(target), torch.from_numpy(weight), kappa).numpy()
    np.testing.assert_allclose(got, [quantile_huber(*pair, kappa) for pair in zip(theta, target, strict=True)])


@pytest.mark.parametrize("kappa", [0.0, 0.5, 1.0])
def test_the_quantile_loss_is_least_at_the_quantiles_of_the_target(kappa: float) -> None:
    """With kappa 0 exactly: the middle of each fourth of 0..7 lies between two particles. Beyond it, near them."""
    target = torch.arange(8.0)[None]
    theta = torch.full((1, 4), 3.0, requires_grad=True)
    for step in range(1_000):
        (gradient,) = torch.autograd.grad(quantile_loss(theta, target, torch.full((1, 8), 1 / 8), kappa).sum(), theta)
        with torch.no_grad():
            theta -= gradient * 4 / (1 + 0.03 * step)
    if kappa == 0:
        assert all(2 * i - 0.1 <= value <= 2 * i + 1.1 for i, value in enumerate(theta[0].tolist()))
    np.testing.assert_allclose(theta.detach().numpy()[0], [0.5, 2.5, 4.5, 6.5], atol=0.8)


# ---- Choosing. ------------------------------------------------------------------------------------------------------


def test_the_greedy_action_is_the_best_of_the_legal_ones_in_each_row() -> None:
    q = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [-3.0, -2.0, -1.0], [1.0, 1.0, 0.0]])
    legal = torch.tensor([[True, True, True], [False, True, True], [True, False, False], [True, True, True]])
    assert greedy_action(q, legal).tolist() == [0, 1, 0, 0]
    assert greedy_action(q, None).tolist() == [0, 0, 2, 0]


# ---- The whole loss of a batch. -------------------------------------------------------------------------------------

HEADS: dict[str, dict[str, Any]] = {
    "huber": {},
    "squared": {"loss": "squared"},
    "c51": {"distribution": "categorical", "num_atoms": 11, "v_min": -4.0, "v_max": 4.0},
    "qr": {"distribution": "quantile", "num_quantiles": 7},
    "qr, kappa 0": {"distribution": "quantile", "num_quantiles": 7, "huber_kappa": 0.0},
}


class Reference:
    """The loss of each transition, its error and its gradient by the outputs of the action taken."""

    def __init__(self, head: str) -> None:
        self.head = head
        self.fields = HEADS[head]
        if head == "c51":
            self.support = np.linspace(self.fields["v_min"], self.fields["v_max"], self.fields["num_atoms"])

    def value(self, outputs: Doubles) -> float:
        if self.head == "c51":
            return float(softmax(outputs) @ self.support)
        return float(np.mean(outputs))

    def target(self, outputs: Doubles, reward: float, bootstrap: float) -> Doubles:
        """Sampled positions, or for C51 the probabilities of its atoms."""
        if self.head == "c51":
            atoms = reward + bootstrap * self.support
            fields = self.fields
            return projected(atoms, softmax(outputs), fields["v_min"], fields["v_max"], fields["num_atoms"])
        return reward + bootstrap * outputs

    def loss(self, outputs: Doubles, target: Doubles) -> float:
        if self.head == "c51":
            return cross_entropy(target, outputs)
        if self.head.startswith("qr"):
            return quantile_huber(outputs, target, self.fields.get("huber_kappa", 1.0))
        u = float(target[0] - outputs[0])
        return u * u if self.head == "squared" else huber(u, 1.0)

    def error(self, outputs: Doubles, target: Doubles) -> float:
        if self.head in ("huber", "squared"):
            return abs(float(target[0] - outputs[0]))
        return self.loss(outputs, target)

    def gradient(self, outputs: Doubles, target: Doubles) -> Doubles:
        """By central differences; kinks are hit with probability 0."""
        h = 1e-6
        steps = np.eye(len(outputs)) * h
        return np.array([(self.loss(outputs + s, target) - self.loss(outputs - s, target)) / (2 * h) for s in steps])


def outputs_of(network: torch.nn.Module, observation: Singles) -> Doubles:
    with torch.no_grad():
        outputs: Doubles = network(torch.from_numpy(observation)).numpy().astype(np.float64)
    return outputs  # [N, A, M]


def choice(reference: Reference, outputs: Doubles, legal: NDArray[np.bool_] | None) -> int:
    allowed = [a for a in range(NUM_ACTIONS) if legal is None or legal[a]]
    return max(allowed, key=lambda a: reference.value(outputs[a]))


def targets_of(reference: Reference, learner: TorchLearner, data: Transition, *, double: bool) -> list[Doubles]:
    online = outputs_of(learner.network, data.next_observation)
    frozen = outputs_of(learner.target.network, data.next_observation)
    targets = []
    for i in range(len(data.action)):
        legal = None if data.next_legal is None else data.next_legal[i]
        action = choice(reference, online[i] if double else frozen[i], legal)
        targets.append(reference.target(frozen[i, action], float(data.reward[i]), float(data.bootstrap[i])))
    return targets


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("legal", [False, True])
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_the_loss_of_a_batch_is_that_of_loops_over_transitions(
    head: str, double: bool, legal: bool, weighted: bool
) -> None:
    reference = Reference(head)
    learner = build_torch_learner(double=double, **HEADS[head])
    data = random_batch(legal=legal)
    weights = np.random.default_rng(5).uniform(0.1, 1, 32).astype(np.float32) if weighted else None
    targets = targets_of(reference, learner, data, double=double)
    outputs = outputs_of(learner.network, data.observation)[np.arange(32), data.action]
    expected = [reference.loss(o, t) for o, t in zip(outputs, targets, strict=True)]
    got = learner.losses_of(data, weights)
    assert got.mean.item() == pytest.approx(np.mean(np.array(expected) * (1 if weights is None else weights)), rel=1e-4)
    errors = [reference.error(o, t) for o, t in zip(outputs, targets, strict=True)]
    np.testing.assert_allclose(got.errors.numpy(), errors, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(got.q_tm1.numpy(), [reference.value(o) for o in outputs], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("target", ["periodic", "none"])
@pytest.mark.parametrize("head", HEADS)
def test_gradients_go_through_the_prediction_alone(head: str, target: str) -> None:
    """A linear network's gradient is each transition's input times the gradient of its loss by the outputs."""
    reference = Reference(head)
    learner = build_torch_learner(double=True, hidden=(), target=target, **HEADS[head])
    data = random_batch(legal=True)
    weights = np.random.default_rng(5).uniform(0.1, 1, 32).astype(np.float32)
    targets = targets_of(reference, learner, data, double=True)
    outputs = outputs_of(learner.network, data.observation)
    expected = np.zeros((NUM_ACTIONS, outputs.shape[2], 3))
    for i, action in enumerate(data.action):
        by_outputs = weights[i] * reference.gradient(outputs[i, action], targets[i]) / 32
        expected[action] += by_outputs[:, None] * data.observation[i]
    learner.losses_of(data, weights).mean.backward()  # type: ignore[no-untyped-call]
    (layer,) = [layer for layer in learner.network.modules() if isinstance(layer, torch.nn.Linear)]
    assert layer.weight.grad is not None
    np.testing.assert_allclose(layer.weight.grad.numpy(), expected.reshape(-1, 3), rtol=2e-3, atol=2e-5)
    if target == "periodic":
        assert all(parameter.grad is None for parameter in learner.target.network.parameters())


def test_double_q_learning_differs_from_q_learning_where_the_two_networks_disagree() -> None:
    """So that the tests above can tell them apart."""
    learner, data, reference = build_torch_learner(), random_batch(), Reference("huber")
    one, two = (targets_of(reference, learner, data, double=double) for double in (False, True))
    assert sum(abs(a[0] - b[0]) > 1e-3 for a, b in zip(one, two, strict=True)) >= 5


def test_quantile_outputs_are_values_by_their_mean() -> None:
    outputs = torch.tensor([[[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]]])
    assert Quantiles(3, 1.0).values(outputs).tolist() == [[3.0, 1.0]]


# ---- Pop-Art. -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_with_pop_art_the_loss_is_in_units_of_the_running_deviation_of_targets(head: str, double: bool) -> None:
    """Three updates' losses, without the gradient steps between them: only the scale moves."""
    reference = Reference(head)
    rate = 0.2
    learner = build_torch_learner(double=double, pop_art=True, pop_art_rate=rate, **HEADS[head])
    mean, square, mu, sigma = 0.0, 0.0, 0.0, 1e-4
    for number in range(3):
        data = random_batch(seed=number)
        data = data._replace(reward=data.reward * 20 + 5)
        online = outputs_of(learner.network, data.next_observation)
        frozen = outputs_of(learner.target.network, data.next_observation)
        outputs = outputs_of(learner.network, data.observation)[np.arange(32), data.action]
        positions, weights = [], []
        for i in range(32):
            action = choice(reference, (online if double else frozen)[i], None)
            if head == "c51":
                position, weight = reference.support, softmax(frozen[i, action])
            else:
                position = frozen[i, action]
                weight = np.full(len(position), 1 / len(position))
            positions.append(data.reward[i] + data.bootstrap[i] * (sigma * position + mu))
            weights.append(weight)
        # van Hasselt et al. (2016), equation 6, on the means of the targets, corrected for its start at 0.
        mean += rate * (np.mean([w @ p for w, p in zip(weights, positions, strict=True)]) - mean)
        square += rate * (np.mean([(w @ p) ** 2 for w, p in zip(weights, positions, strict=True)]) - square)
        old_mu, old_sigma = mu, sigma
        correction = 1 - (1 - rate) ** (number + 1)
        mu = mean / correction
        sigma = (square / correction - mu**2) ** 0.5
        total = 0.0
        for i in range(32):
            aim = (positions[i] - mu) / sigma
            prediction = outputs[i]
            if head == "c51":
                aim = projected(aim, weights[i], -4.0, 4.0, 11)
            else:
                prediction = (old_sigma * prediction + old_mu - mu) / sigma
            total += reference.loss(prediction, aim) / 32
        assert learner.losses_of(data).mean.item() == pytest.approx(total, rel=1e-3)
        if number == 0 and head != "c51":
            enlarge_outputs(learner, 1e4)
