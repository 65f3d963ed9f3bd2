"""Networks over boards: any size, heads, folding, files that never execute and say what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from tengen.envs.go.planes import Planes, num_planes
from tengen.errors import UserError
from tengen.perception import network_file
from tengen.perception.board_networks import PolicyCNN, ResidualTower, fold
from tengen.perception.muon import Muon, orthogonal
from tengen.perception.network_file import (
    Card,
    LoadedNetwork,
    load_network,
    make_network,
    require_fit,
    save_network,
)

CNN = {"class": "PolicyCNN", "parameters": {"planes": 23, "width": 8, "layers": 4, "value": True, "norm": False}}
TOWER = {"class": "ResidualTower", "parameters": {"planes": 23, "width": 8, "blocks": 2, "value": True, "norm": True}}
BOTH = pytest.mark.parametrize("architecture", [CNN, TOWER])


def planes(num: int, size: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 2, (num, 23, size, size), generator=torch.Generator().manual_seed(seed)).float()


def network_of(architecture: dict[str, Any], seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return make_network(architecture)


def test_the_policy_cnn_has_twelve_convolutions_the_first_of_five_by_five() -> None:
    layers = [layer for layer in PolicyCNN(23, 16).modules() if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.kernel_size[0] for layer in layers] == [5] + [3] * 11
    assert {layer.stride for layer in layers} == {(1, 1)}
    assert [layer.padding[0] for layer in layers] == [2] + [1] * 11


@BOTH
def test_the_same_weights_serve_every_board_size(architecture: dict[str, Any]) -> None:
    network = network_of(architecture).eval()
    for size in (5, 9, 19):
        outputs = network(planes(2, size))
        assert outputs.policy.shape == (2, size * size + 1)
        assert outputs.value.shape == (2,)


@BOTH
def test_weights_carry_over_to_another_size(architecture: dict[str, Any]) -> None:
    # far from the edges a larger board looks the same, so that the logits of the middle must be the same
    network = network_of(architecture).eval()
    small = planes(1, 15)
    large = torch.zeros(1, 23, 19, 19)
    large[:, :, 2:17, 2:17] = small
    reach = 6 if architecture is CNN else 7
    of_small = network(small).policy[0, :-1].reshape(15, 15)[reach:-reach, reach:-reach]
    of_large = network(large).policy[0, :-1].reshape(19, 19)[2 + reach : -2 - reach, 2 + reach : -2 - reach]
    assert torch.allclose(of_small, of_large, atol=1e-5)
    assert of_small.abs().max() > 0


@BOTH
def test_a_row_of_a_batch_does_not_depend_on_the_others(architecture: dict[str, Any]) -> None:
    network = network_of(architecture).eval()
    x = planes(4, 7)
    assert torch.allclose(network(x).policy[2], network(x[2:3]).policy[0], atol=1e-5)


def test_ownership_is_a_map_between_minus_one_and_one() -> None:
    outputs = ResidualTower(23, 1, 8, value=False, ownership=True)(planes(2, 9))
    assert outputs.value is None
    assert outputs.ownership.shape == (2, 9, 9)
    assert outputs.ownership.abs().max() <= 1


def test_folding_keeps_the_outputs() -> None:
    network = network_of(TOWER)
    for seed in range(3):
        network(planes(8, 9, seed))  # running means move
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(layer.weight)
            torch.nn.init.normal_(layer.bias)
    network.eval()
    before = network(planes(4, 9, 9))
    fold(network)
    after = network(planes(4, 9, 9))
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in network.modules())
    assert torch.allclose(before.policy, after.policy, atol=1e-4)
    assert torch.allclose(before.value, after.value, atol=1e-4)


@BOTH
def test_a_network_comes_back_from_its_file(tmp_path: Path, architecture: dict[str, Any]) -> None:
    network = network_of(architecture).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]  # torch's stubs lack it
    path = tmp_path / "x.safetensors"
    save_network(path, network, Card(architecture, "standard", 9, 7.5, {"data": "none"}))
    loaded = load_network(path)
    assert (loaded.card.size, loaded.card.komi, loaded.card.about) == (9, 7.5, {"data": "none"})
    assert loaded.card.architecture["parameters"]["norm"] is False
    logits, values = loaded(planes(2, 9).to(torch.uint8).numpy())
    expected = network(planes(2, 9))
    assert values is not None
    assert np.allclose(logits, expected.policy.detach().numpy(), atol=1e-5)
    assert np.allclose(values, expected.value.detach().numpy(), atol=1e-5)


def saved(tmp_path: Path, **changes: Any) -> Path:
    """Write a network whose card has been changed."""
    path = tmp_path / "x.safetensors"
    save_network(path, network_of(CNN), Card(CNN, "standard", 9))
    with safetensors.safe_open(path, "np") as file:
        card = json.loads(file.metadata()["tengen"]) | changes
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- it is no mapping
    path.write_bytes(safetensors.numpy.save(arrays, {"tengen": json.dumps(card)}))
    return path


def changed(**parameters: Any) -> dict[str, Any]:
    return {"class": "PolicyCNN", "parameters": {**CNN["parameters"], **parameters}}  # type: ignore[dict-item]  # a table


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "another version"),
        ({"architecture": {"class": "os.system", "parameters": {"planes": 3}}}, "no network is called 'os.system'"),
        ({"architecture": changed(width=9)}, "is damaged"),
        ({"architecture": changed(width=10**9)}, "must be a whole number from 1"),
        ({"architecture": changed(width="8")}, "must be a whole number"),
        ({"architecture": changed(depth=True)}, "can't be made with"),
        ({"architecture": []}, "no network file of Tengen's"),
        ({"planes": "board"}, "is damaged: its card says that it sees board planes, which are 1, and it takes 23"),
        ({"planes": "bored"}, "is damaged: its card says that it sees 'bored' planes, which must be one of"),
        ({"size": "9"}, "its card is damaged"),
        ({"surprise": 1}, "no network file of Tengen's"),
    ],
)
def test_a_changed_card_is_refused_in_one_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_network(saved(tmp_path, **changes))
    assert "\n" not in str(caught.value)


def test_the_kinds_of_planes_are_those_that_go_draws() -> None:
    assert {kind: num_planes(kind) for kind in get_args(Planes)} == network_file._PLANES


def test_what_is_no_network_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(UserError, match="can't be read"):
        load_network(path)
    path.write_bytes(b"x" * 100)
    with pytest.raises(UserError, match="can't be read"):
        load_network(path)
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(3)}))
    with pytest.raises(UserError, match="no network file of Tengen's"):
        load_network(path)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float8_e4m3fn])
def test_numbers_that_numpy_lacks_are_refused(tmp_path: Path, kind: torch.dtype) -> None:
    path = tmp_path / "x.safetensors"
    arrays = {"a": torch.zeros(3, dtype=kind)}
    safetensors.torch.save_file(arrays, path)
    with pytest.raises(UserError, match="no network file of Tengen's"):
        load_network(path)
    card = {"architecture": CNN, "planes": "standard", "size": 9, "format": 1}
    safetensors.torch.save_file(arrays, path, {"tengen": json.dumps(card)})
    with pytest.raises(UserError, match=r"x\.safetensors can't be read: a is (BF16|F8_E4M3), save it as F32"):
        load_network(path)


def test_a_network_of_other_planes_or_another_size_is_named() -> None:
    card = Card(CNN, "standard", 9)
    require_fit(card, "x", "standard", 9)
    with pytest.raises(UserError, match="x sees standard planes, not board"):
        require_fit(card, "x", "board")
    with pytest.raises(UserError, match="trained on 9x9, not 19x19"):
        require_fit(card, "x", "standard", 19)


def test_bfloat16_is_near_float32() -> None:
    network = network_of(CNN).eval()
    card = Card(CNN, "standard", 9)
    x = planes(4, 9).numpy()
    exact = LoadedNetwork(network, card, torch.device("cpu"))(x)[0]
    rounded = LoadedNetwork(network, card, torch.device("cpu"), in_bfloat16=True)(x)[0]
    assert np.abs(exact - rounded).max() < 0.05 * np.abs(exact).max()


def test_orthogonal_brings_singular_values_near_one() -> None:
    for shape in ((6, 20), (20, 6), (5, 5)):
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        values = torch.linalg.svdvals(orthogonal(matrix))
        assert values.min() > 0.5
        assert values.max() < 1.3


def test_muon_fits_a_linear_map_and_decays() -> None:
    generator = torch.Generator().manual_seed(0)
    wanted = torch.randn(4, 6, generator=generator)
    weight = torch.nn.Parameter(torch.zeros(4, 6))
    optimizer = Muon([weight], 0.05)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 300)
        optimizer.zero_grad()
        (weight - wanted).square().sum().backward()  # type: ignore[no-untyped-call]  # torch's
        optimizer.step()
    assert (weight - wanted).abs().max() < 0.05
    decayed = torch.nn.Parameter(torch.ones(2, 2))
    decayed.grad = torch.zeros(2, 2)
    Muon([decayed], 0.1, weight_decay=0.5).step()
    assert torch.allclose(decayed, torch.full((2, 2), 0.95))
