"""Fitting networks to examples: a tiny rule is learnt wholly, a state says all, metrics count what they say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.random import Generator
from torch import Tensor, nn

from tengen.checkpoint import digest_state
from tengen.errors import UserError
from tengen.perception.board_networks import PolicyCNN
from tengen.perception.supervised import Examples, Fitting, Learner, classification, evaluate
from tengen.perception.tasks import resolve_task

SIZE = 5


class RightOfTheStone:
    """One stone on the board; the move is to its right, or a pass where there is no such point."""

    def _examples(self, points: Any) -> Examples:
        boards = np.zeros((len(points), 2, SIZE * SIZE), np.uint8)
        boards[np.arange(len(points)), 0, points] = 1
        boards[:, 1] = 1
        labels = np.where(points % SIZE == SIZE - 1, SIZE * SIZE, points + 1)
        return Examples(boards.reshape(-1, 2, SIZE, SIZE), {"label": labels})

    def draw(self, num: int, rng: Generator) -> Examples:
        return self._examples(rng.integers(0, SIZE * SIZE, num))

    def kept_aside(self, num: int | None, batch_size: int) -> Iterator[Examples]:
        points = np.arange(SIZE * SIZE)[:num]
        for start in range(0, len(points), batch_size):
            yield self._examples(points[start : start + batch_size])

    def digest(self) -> str:
        return "always the same"

    def network(self) -> nn.Module:
        return PolicyCNN(2, 8, layers=3)

    def judge(self, outputs: Any, targets: Mapping[str, Tensor]) -> Any:
        return classification(outputs.policy, targets["label"])


def learner(num_steps: int = 200, **settings: Any) -> Learner:
    fitting = Fitting(**{"batch_size": 16, "warmup": 5, "precision": "float32", **settings})
    return Learner(RightOfTheStone(), fitting, num_steps, np.random.default_rng(0))


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "muon", "learning_rate": 0.02},
        {"optimizer": "adamw", "learning_rate": 0.01},
        {"optimizer": "sgd", "learning_rate": 0.1, "gradient_clip": 1.0},
        {"optimizer": "muon", "learning_rate": 0.02, "precision": "bfloat16"},
    ],
)
def test_a_tiny_rule_is_learnt_wholly(settings: dict[str, Any]) -> None:
    fitted = learner(**settings)
    assert fitted.evaluate(None)["top1"] < 0.5
    for _ in range(200):
        fitted.update()
    found = fitted.evaluate(None)
    assert found["top1"] == 1
    assert found["policy_loss"] < 0.3


@pytest.mark.parametrize("optimizer", ["muon", "adamw", "sgd"])
def test_it_goes_on_exactly_from_its_state(optimizer: str) -> None:
    whole = learner(12, optimizer=optimizer)
    first = learner(12, optimizer=optimizer)
    for _ in range(5):
        first.update()
    second = learner(12, optimizer=optimizer)
    second.rng = np.random.default_rng(99)
    second.load_state_dict(first.state_dict())
    for _ in range(7):
        second.update()
    for _ in range(12):
        whole.update()
    assert digest_state(second.state_dict()) == digest_state(whole.state_dict())


@pytest.mark.parametrize("here", [False, True])
def test_it_keeps_the_precision_that_it_began_with_on_another_machine(
    here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: not here)
    whole, first = learner(6, precision="auto"), learner(6, precision="auto")
    for _ in range(3):
        first.update()
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: here)
    second = learner(6, precision="auto")
    assert (first.in_bfloat16, second.in_bfloat16) == (not here, here)
    second.load_state_dict(first.state_dict())
    for _ in range(3):
        second.update()
    for _ in range(6):
        whole.update()
    assert digest_state(second.state_dict()) == digest_state(whole.state_dict())
    assert second.evaluate(None) == whole.evaluate(None)


def test_a_state_without_a_precision_goes_on_in_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    older = {name: value for name, value in learner().state_dict().items() if name != "autocast"}
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    resumed = learner(precision="auto")
    resumed.load_state_dict(older)
    assert resumed.in_bfloat16


def test_the_same_seed_gives_the_same_network_whatever_torch_drew_before() -> None:
    torch.manual_seed(1)
    one = learner()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    other = learner()
    assert digest_state(one.state_dict()) == digest_state(other.state_dict())
    assert torch.equal(torch.get_rng_state(), before)


def test_the_step_size_rises_stays_and_falls_to_zero() -> None:
    fitting = Fitting(warmup=10, cooldown=0.5)
    sizes = [fitting.step_size(step, 100) for step in range(101)]
    assert sizes[0] == pytest.approx(1 / 11)
    assert sizes[10:50] == [1.0] * 40
    assert sizes[75] == pytest.approx(0.5)
    assert sizes[100] == 0
    assert Fitting(warmup=0, cooldown=0).step_size(99, 100) == 1


def test_metrics_count_the_first_and_the_first_five() -> None:
    logits = torch.arange(8.0).repeat(4, 1)  # 7 is likeliest, then 6, ...
    _, metrics = classification(logits, torch.tensor([7, 6, 3, 0]))
    means = {name: float(total / count) for name, (total, count) in metrics.items()}
    assert means["top1"] == 1 / 4
    assert means["top5"] == 3 / 4


class RareLabels(RightOfTheStone):
    """Has a metric of which no batch that is learnt from, and nothing kept aside, has an example."""

    def judge(self, outputs: Any, targets: Mapping[str, Tensor]) -> Any:
        loss, metrics = super().judge(outputs, targets)
        return loss, metrics | {"rare": (torch.tensor(0.0), torch.tensor(0.0))}


def test_a_metric_without_an_example_is_left_out() -> None:
    fitted = Learner(RareLabels(), Fitting(batch_size=4, precision="float32"), 10, np.random.default_rng(0))
    assert fitted.update().keys() == {"loss", "policy_loss", "top1", "top5"}
    assert fitted.evaluate(None).keys() == {"policy_loss", "top1", "top5"}


def test_ties_are_no_hits_for_all() -> None:
    _, metrics = classification(torch.zeros(8, 8), torch.arange(8))
    assert metrics["top1"][0] == 1
    assert metrics["top5"][0] == 5


def test_an_evaluation_does_not_depend_on_its_batches() -> None:
    fitted = learner()
    network, task, cpu = fitted.network, fitted.task, torch.device("cpu")
    whole = evaluate(network, task, None, 100, cpu, in_bfloat16=False)
    parts = evaluate(network, task, None, 7, cpu, in_bfloat16=False)
    assert whole["top1"] == parts["top1"]
    assert whole["policy_loss"] == pytest.approx(parts["policy_loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "--batch-size must be above 0"),
        ({"learning_rate": -1.0}, "--learning-rate must be above 0"),
        ({"learning_rate": float("nan")}, "--learning-rate must be above 0"),
        ({"warmup": -1}, "--warmup must not be negative"),
        ({"cooldown": 1.5}, "--cooldown must be between 0 and 1"),
        ({"gradient_clip": 0.0}, "--gradient-clip must be above 0 or none"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Fitting(**settings)


def test_an_unknown_task_is_refused_with_a_hint() -> None:
    with pytest.raises(UserError, match="Did you mean 'go-policy'"):
        resolve_task("go-polcy")
