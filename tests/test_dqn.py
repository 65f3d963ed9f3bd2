from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from dqn_helpers import SPEC, random_batch

from tengen.agents.dqn.agent import DQN
from tengen.agents.dqn.config import DQNConfig
from tengen.agents.dqn.learner import TorchLearner
from tengen.agents.dqn.losses import q_learning_target
from tengen.errors import UserError
from tengen.perception.networks import q_network
from tengen.perception.optimizers import CentredRMSprop
from tengen.types import Decision, EnvSpec, TimeStep, Transition


def build(spec: EnvSpec = SPEC, seed: int = 0, **fields: object) -> DQN:
    settings = {
        "hidden": (8,),
        "backend": "torch",
        "learn_start": 0,
        "learn_period": 1,
        "replay_capacity": 100,
        **fields,
    }
    return DQNConfig(**settings).build(spec, np.random.default_rng(seed), "cpu")  # type: ignore[arg-type]


def step(
    value: float, *, reward: float = 0.0, discount: float = 1.0, first: bool = False, last: bool = False
) -> TimeStep:
    return TimeStep(
        np.full((1, 3), value, np.float32),
        np.array([reward]),
        np.array([discount]),
        np.array([first]),
        np.array([last]),
    )


def torch_learner(agent: DQN) -> TorchLearner:
    assert isinstance(agent.learner, TorchLearner)
    return agent.learner


def parameters(agent: DQN) -> np.ndarray:
    return np.concatenate([p.detach().numpy().ravel().copy() for p in torch_learner(agent).network.parameters()])


def targets(agent: DQN) -> np.ndarray:
    return np.concatenate([p.detach().numpy().ravel().copy() for p in torch_learner(agent).target.network.parameters()])


@pytest.mark.parametrize("loss", ["huber", "squared"])
@pytest.mark.parametrize("legal", [False, True])
def test_the_loss_equals_a_plain_sum_over_transitions(loss: str, legal: bool) -> None:
    agent = build(loss=loss)
    data = random_batch(0, legal=legal)
    with torch.no_grad():
        q = torch_learner(agent).network(torch.from_numpy(data.observation)).numpy()[:, :, 0]
        q_next = torch_learner(agent).target.network(torch.from_numpy(data.next_observation)).numpy()[:, :, 0]
    total = 0.0
    for i in range(16):
        allowed = [a for a in range(2) if data.next_legal is None or data.next_legal[i, a]]
        error = abs(data.reward[i] + data.bootstrap[i] * max(q_next[i, a] for a in allowed) - q[i, data.action[i]])
        total += error**2 if loss == "squared" else 0.5 * error**2 if error < 1 else error - 0.5
    assert torch_learner(agent).losses_of(data).mean.item() == pytest.approx(total / 16, rel=1e-5)


def test_no_gradient_flows_into_the_target() -> None:
    agent = build(target="none")
    data = random_batch(0)
    torch_learner(agent).losses_of(data).mean.backward()  # type: ignore[no-untyped-call]
    got = [p.grad.clone() for p in torch_learner(agent).network.parameters() if p.grad is not None]
    torch_learner(agent).network.zero_grad()
    with torch.no_grad():
        v = torch_learner(agent).network(torch.from_numpy(data.next_observation)).amax((1, 2))
        target = torch.from_numpy(data.reward) + torch.from_numpy(data.bootstrap) * v
    q = torch_learner(agent).network(torch.from_numpy(data.observation))[
        torch.arange(16), torch.from_numpy(data.action), 0
    ]
    torch.nn.functional.smooth_l1_loss(q, target).backward()  # type: ignore[no-untyped-call]
    for own, p in zip(got, torch_learner(agent).network.parameters(), strict=True):
        torch.testing.assert_close(own, p.grad)


def test_a_negative_bootstrap_is_the_negamax_backup() -> None:
    value = torch.tensor([[0.7]])
    assert q_learning_target(torch.tensor([0.0]), torch.tensor([-1.0]), value).item() == pytest.approx(-0.7)


def test_the_periodic_target_is_frozen_between_its_renewals() -> None:
    agent = build(target_period=3)
    before = targets(agent)
    for update in range(1, 7):
        agent.learner.update(random_batch(update), 0)
        if update % 3:
            np.testing.assert_array_equal(targets(agent), before)
        else:
            np.testing.assert_array_equal(targets(agent), parameters(agent))
            before = targets(agent)


def test_the_polyak_target_is_a_moving_average() -> None:
    agent = build(target="polyak", target_rate=0.1)
    before = targets(agent)
    agent.learner.update(random_batch(0), 0)
    np.testing.assert_allclose(targets(agent), 0.9 * before + 0.1 * parameters(agent), rtol=1e-5, atol=1e-7)


def test_without_a_target_network_the_network_is_its_own_target() -> None:
    agent = build(target="none")
    assert torch_learner(agent).target.network is torch_learner(agent).network


@pytest.mark.parametrize(
    ("clip", "expected"), [(1.5, 1.5 + 0.5 * 0.3 - 0.25 * 1.5), (None, 50.0 + 0.5 * 0.3 - 0.25 * 4.0)]
)
def test_each_reward_of_an_n_step_sum_is_clipped_and_only_when_asked(clip: float | None, expected: float) -> None:
    agent = build(n_step=3, gamma=0.5, reward_clip=clip, learn_start=100)
    agent.update(step(0.0, first=True), Decision(np.array([0])), step(1.0, reward=50.0))
    agent.update(step(1.0), Decision(np.array([0])), step(2.0, reward=0.3))
    agent.update(step(2.0), Decision(np.array([0])), step(3.0, reward=-4.0))
    sample = agent.replay.sample(1)
    assert isinstance(sample, Transition)
    assert sample.reward[0] == pytest.approx(expected)


def test_the_gradient_is_clipped_to_its_norm() -> None:
    agent = build(gradient_clip=1e-3)
    agent.learner.update(random_batch(0), 0)
    norm = (
        sum(float(p.grad.norm()) ** 2 for p in torch_learner(agent).network.parameters() if p.grad is not None) ** 0.5
    )
    assert norm == pytest.approx(1e-3, rel=1e-2)


def test_the_learning_rate_follows_its_schedule_by_environment_steps() -> None:
    agent = build(learning_rate=0.1, learning_rate_end=0.0, learning_rate_decay_steps=100)
    agent.learner.update(random_batch(0), 25)
    assert torch_learner(agent).optimizer.param_groups[0]["lr"] == pytest.approx(0.075)
    before = parameters(agent)
    agent.learner.update(random_batch(0), 100)
    np.testing.assert_array_equal(parameters(agent), before)


@pytest.mark.parametrize(("num_envs", "learn_period", "expected"), [(1, 4, 25), (8, 4, 26), (3, 4, 25), (8, 16, 6)])
def test_the_number_of_updates_follows_the_steps_and_not_the_ticks(
    num_envs: int, learn_period: int, expected: int
) -> None:
    spec = EnvSpec("toy", SPEC.observation_space, SPEC.action_space, num_envs)
    agent = build(spec, learn_period=learn_period, batch_size=2)
    tick = TimeStep(
        np.zeros((num_envs, 3), np.float32), np.zeros(num_envs), np.ones(num_envs), np.zeros(num_envs, bool),
        np.zeros(num_envs, bool),
    )  # fmt: skip
    now = tick._replace(first=np.ones(num_envs, bool))
    while agent.num_steps < 100:
        agent.update(now, Decision(np.zeros(num_envs, np.int64)), tick)
        now = tick
    assert agent.learner.num_updates == expected


def test_nothing_is_learnt_before_learn_start_and_actions_are_random_until_then() -> None:
    agent = build(learn_start=50, epsilon_start=0.0, epsilon_end=0.0, batch_size=2)
    now, actions = step(0.0, first=True), []
    for _ in range(50):
        decision = agent.act(now)
        actions.append(int(decision.actions[0]))
        agent.update(now, decision, step(0.0))
        now = step(0.0)
    assert agent.learner.num_updates == 0
    assert 10 < sum(actions) < 40
    agent.update(now, agent.act(now), step(0.0))
    assert agent.learner.num_updates == 1
    greedy = int(agent.policy().act(now, np.random.default_rng(0))[0])
    assert all(int(agent.act(now).actions[0]) == greedy for _ in range(20))


def test_exploration_takes_legal_actions_only() -> None:
    spec = EnvSpec("toy", SPEC.observation_space, gym.spaces.Discrete(4), 1, has_legal=True)
    agent = build(spec, epsilon_end=0.5, epsilon_decay_steps=0)
    legal = np.array([[False, True, False, True]])
    taken = {int(agent.act(step(0.0)._replace(legal=legal)).actions[0]) for _ in range(100)}
    assert taken == {1, 3}


def test_one_transition_is_fitted_to_its_reward_at_a_terminal_state_and_bootstrapped_at_a_truncated_one() -> None:
    for discount, expected in ((0.0, 1.0), (1.0, 2.0)):  # with gamma 0.5 and a loop onto itself, 1 / (1 - 0.5)
        agent = build(gamma=0.5, learning_rate=0.02, target_period=10, loss="squared", batch_size=4)
        for _ in range(300):
            agent.update(
                step(1.0, first=True), Decision(np.array([0])), step(1.0, reward=1.0, discount=discount, last=True)
            )
            agent.update(
                step(1.0, first=True), Decision(np.array([1])), step(1.0, reward=1.0, discount=discount, last=True)
            )
        q = torch_learner(agent).network(torch.ones(1, 3)).detach().numpy()
        np.testing.assert_allclose(q, expected, atol=0.05)


def test_it_learns_online_from_the_latest_step_without_replay() -> None:
    agent = build(replay="none")
    agent.update(step(0.5, first=True), Decision(np.array([1])), step(0.25, reward=2.0, discount=-1.0))
    sample = agent.replay.sample(32)
    assert isinstance(sample, Transition)
    assert sample.observation.shape == (1, 3)
    assert (sample.action[0], sample.reward[0], sample.bootstrap[0]) == (1, 2.0, np.float32(-0.99))
    with pytest.raises(UserError, match="n_step"):
        DQNConfig(replay="none", n_step=3)


def test_bfloat16_gives_the_loss_of_float32_within_its_precision() -> None:
    space = gym.spaces.Box(0, 255, (4, 84, 84), np.uint8)
    spec = EnvSpec("pictures", space, gym.spaces.Discrete(4), 1, frame_stack=4)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (2, 8, 4, 84, 84), dtype=np.uint8)
    data = Transition(
        frames[0],
        rng.integers(4, size=8),
        rng.normal(size=8).astype(np.float32),
        np.full(8, 0.99, np.float32),
        frames[1],
    )
    exact, rounded = (
        torch_learner(build(spec, hidden=(64,), precision=p)).losses_of(data).mean.item()
        for p in ("float32", "bfloat16")
    )
    assert rounded == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("here", [False, True])
def test_a_run_keeps_the_precision_that_it_began_with_on_another_machine(
    here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: not here)
    began = build(precision="auto")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: here)
    resumed = build(precision="auto")
    assert (torch_learner(began).autocast, torch_learner(resumed).autocast) == (not here, here)
    resumed.load_state_dict(began.state_dict())
    assert torch_learner(resumed).autocast is torch_learner(began).autocast


def test_the_nature_network_has_the_papers_layers() -> None:
    space = gym.spaces.Box(0, 255, (4, 84, 84), np.uint8)
    network = q_network(space, 18, (512,), torch.Generator().manual_seed(0))
    shapes = [tuple(p.shape) for name, p in network.named_parameters() if name.endswith("weight")]
    assert shapes == [(32, 4, 8, 8), (64, 32, 4, 4), (64, 64, 3, 3), (512, 3136), (18, 512)]


def test_a_discrete_observation_becomes_an_indicator() -> None:
    network = q_network(gym.spaces.Discrete(5, start=2), 3, (), torch.Generator().manual_seed(0))
    weight, bias = network[1].weight, network[1].bias
    assert isinstance(weight, torch.Tensor)
    assert isinstance(bias, torch.Tensor)
    torch.testing.assert_close(network(torch.tensor([4])), (weight[:, 2] + bias)[None, :, None])


def test_centred_rmsprop_follows_its_equations() -> None:
    w = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = CentredRMSprop([w], 0.1, decay=0.9, epsilon=0.01)
    expected, mean, square = w.detach().numpy().astype(np.float64), np.zeros(2), np.zeros(2)
    for t in range(5):
        gradient = np.array([0.5 + t, -1.0 / (t + 1)])
        w.grad = torch.tensor(gradient, dtype=torch.float32)
        optimizer.step()
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.9 * square + 0.1 * gradient**2
        expected = expected - 0.1 * gradient / np.sqrt(square - mean**2 + 0.01)
    np.testing.assert_allclose(w.detach().numpy(), expected, rtol=1e-4)


def test_continuous_actions_are_refused_with_the_reason() -> None:
    pendulum = EnvSpec("p", SPEC.observation_space, gym.spaces.Box(-1, 1, (1,)), 1)
    assert "discrete action space" in str(DQNConfig.refusal(pendulum))
    assert DQNConfig.refusal(SPEC) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gamma", 1.5),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learn_start", -1),
        ("reward_clip", -1.0),
        ("hidden", (0,)),
        ("hidden", (8, 10**19)),
        ("learning_rate", float("inf")),
        ("learning_rate_end", float("nan")),
        ("adam_epsilon", 1e-60),  # 0 in float32
        ("huber_kappa", float("inf")),
        ("noise_start", float("inf")),
        ("v_max", 1e300),
        ("replay_capacity", 10**18),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_name(field: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"agent\.{field}"):
        DQNConfig(**{field: value})  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # of torch's own compiler
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"double": True, "distribution": "categorical", "pop_art": True},
        {"dueling": True, "noisy": True, "distribution": "quantile", "num_quantiles": 10, "replay": "prioritized"},
    ],
)
def test_a_compiled_loss_is_the_same_loss(fields: dict[str, Any]) -> None:
    losses = []
    for compiled in (False, True):
        agent = build(compile=compiled, gradient_clip=None, **fields)
        losses.append([float(agent.learner.update(random_batch(seed), 0).metrics["losses/loss"]) for seed in range(10)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_the_kernels_learn_where_they_can_and_say_so() -> None:
    assert str(build(backend="auto").note).startswith("learning by compiled kernels")
    assert build(backend="auto", dueling=True).note == "computing with gradients by hand"
    assert build(backend="torch").note is None
    with pytest.raises(UserError, match=r"agent\.backend compiled can't be had here: it does not know agent\.noisy"):
        build(backend="compiled", noisy=True)
    with pytest.raises(UserError, match=r"agent\.backend by_hand can't be had here: torch compiles"):
        build(backend="by_hand", compile=True)
