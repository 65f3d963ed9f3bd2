"""OpenVINO computes what torch computes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from tengen.errors import UserError
from tengen.perception.network_file import Card, LoadedNetwork, make_network
from tengen.perception.openvino_network import OpenVINONetwork


def loaded(value: bool = True) -> LoadedNetwork:
    torch.manual_seed(0)
    parameters = {"planes": 4, "width": 16, "blocks": 2, "value": value, "norm": False}
    architecture = {"class": "ResidualTower", "parameters": parameters}
    network = make_network(architecture).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return LoadedNetwork(network, Card(architecture, "standard", 9), torch.device("cpu"))


def planes(num: int, size: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(size).integers(0, 2, (num, 4, size, size)).astype(np.uint8)


@pytest.fixture(scope="module")
def translated() -> OpenVINONetwork:
    pytest.importorskip("openvino")
    return OpenVINONetwork(loaded(), "float32", threads=1)


def compare(translated: OpenVINONetwork, num: int, size: int, tolerance: float) -> None:
    logits, values = translated(planes(num, size))
    expected_logits, expected_values = loaded()(planes(num, size))
    assert values is not None
    assert expected_values is not None
    assert np.abs(logits - expected_logits).max() < tolerance * np.abs(expected_logits).max()
    assert np.abs(values - expected_values).max() < tolerance * np.abs(expected_values).max()


@pytest.mark.parametrize(("num", "size"), [(1, 9), (3, 9), (2, 5), (1, 19)])
def test_openvino_agrees_with_torch_on_every_size_and_batch(translated: OpenVINONetwork, num: int, size: int) -> None:
    compare(translated, num, size, 1e-4)


def test_bfloat16_is_near_float32(translated: OpenVINONetwork) -> None:
    translated = OpenVINONetwork(loaded(), "bfloat16", threads=1)
    compare(translated, 4, 9, 0.05)


def test_a_network_without_a_value_head_gives_none() -> None:
    pytest.importorskip("openvino")
    assert OpenVINONetwork(loaded(value=False), "float32", threads=1)(planes(1, 5))[1] is None


def test_earlier_outputs_stay_when_it_is_called_again(translated: OpenVINONetwork) -> None:
    first = translated(planes(2, 5))[0]
    kept = first.copy()
    translated(1 - planes(2, 5))
    assert (first == kept).all()


def test_two_threads_can_translate_at_once() -> None:
    pytest.importorskip("openvino")
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda network: OpenVINONetwork(network, "float32", threads=1), [loaded()] * 4))
    for translated in made:
        compare(translated, 1, 9, 1e-4)


def test_it_keeps_to_no_core_so_that_several_processes_share_all(translated: OpenVINONetwork) -> None:
    translated(planes(1, 6))
    assert translated._compiled[6].get_property("ENABLE_CPU_PINNING") is False


def test_without_openvino_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UserError, match=r"pip install 'tengen\[openvino\]'"):
        OpenVINONetwork(loaded())


DROPPED_ELSEWHERE = """
import gc, signal, threading
import numpy as np
from tengen.perception.network_file import load_network, named_network
from tengen.perception.openvino_network import OpenVINONetwork

signal.signal(signal.SIGTERM, lambda number, frame: print("noticed"))
loaded = load_network(named_network("go_policy_9x9"))
held = [OpenVINONetwork(loaded, threads=1)]
held[0](np.zeros((1, loaded.card.architecture["parameters"]["planes"], 9, 9), np.float32))
thread = threading.Thread(target=lambda: (held.clear(), gc.collect()))
thread.start()
thread.join()
memory = [bytes(5_000) for _ in range(20_000)]  # what was freed is written over
signal.raise_signal(signal.SIGTERM)
"""


def test_a_signal_is_noticed_after_a_network_was_let_go_by_another_thread() -> None:
    pytest.importorskip("openvino")
    done = subprocess.run([sys.executable, "-c", DROPPED_ELSEWHERE], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "noticed\n"), done.stderr
