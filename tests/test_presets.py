from __future__ import annotations

import re
from pathlib import Path

import pytest

from tengen import presets
from tengen.config import check_settings, default_settings, from_short_names, lay_over, make_run_config
from tengen.errors import UserError
from tengen.presets import Preset, find_preset, get_preset

ALL = sorted(presets.presets())


@pytest.mark.parametrize("name", ALL)
def test_a_preset_is_right_from_its_name_to_its_ranges(name: str) -> None:
    preset = get_preset(name)
    assert preset.name == name
    assert preset.source
    settings = check_settings(preset.agent, from_short_names(preset.settings, name), name)
    assert "preset" not in settings
    merged = lay_over(preset.agent, default_settings(preset.agent), settings)
    merged["threads"] = merged["threads"] or 1  # 0 is resolved on the machine
    make_run_config(preset.agent, merged)


EVERYWHERE = {"CartPole-v1": "cartpole", "Acrobot-v1": "acrobot", "ALE/Breakout-v5": "atari", "ALE/Pong-v5": "atari"}
NAMES = [(a, env, name) for a in ("dqn", "double_dqn", "c51", "qr_dqn", "rainbow") for env, name in EVERYWHERE.items()]
NAMES += [("dqn", "MountainCar-v0", "mountaincar"), ("dqn", "LunarLander-v3", "lunarlander")]
NAMES += [("double_dqn", "LunarLander-v3", "lunarlander")]


@pytest.mark.parametrize(("agent", "env_id", "name"), NAMES)
def test_dqn_and_its_variants_have_presets_of_their_own(agent: str, env_id: str, name: str) -> None:
    found = find_preset(agent, env_id)
    assert found is not None
    assert found.name == f"{agent.replace('_', '-')}-{name}"


def test_what_the_docs_of_dqn_show_has_a_preset() -> None:
    text = (Path(__file__).parents[1] / "docs" / "agents" / "dqn.md").read_text("utf-8")
    shown = re.findall(r"^tengen train (\w+) --env (\S+)", text, re.MULTILINE)
    assert ("double_dqn", "LunarLander-v3") in shown
    assert [command for command in shown if find_preset(*command) is None] == []


def test_atari_is_learnt_in_bfloat16_where_the_processor_has_it() -> None:
    atari = [preset for preset in presets.presets().values() if preset.env == "ALE/*"]
    ours = [preset for preset in atari if not preset.agent.startswith("sb3:")]
    assert {preset.agent for preset in ours} >= {"dqn", "rainbow", "pqn"}
    for preset in ours:
        assert preset.settings["agent"]["precision"] == "auto", preset.name


NATURE = {"batch_size": 32, "replay_capacity": 1_000_000, "learn_start": 50_000, "learn_period": 4, "hidden": (512,)}
PAPERS: dict[str, dict[str, object]] = {  # on Atari, in steps and updates
    "double_dqn": {
        **NATURE, "double": True, "optimizer": "rmsprop", "learning_rate": 2.5e-4, "gradient_clip": None,
        "loss": "huber", "target_period": 30_000 // 4, "epsilon_end": 0.01, "epsilon_decay_steps": 1_000_000,
    },
    "c51": {
        **NATURE, "distribution": "categorical", "num_atoms": 51, "v_min": -10.0, "v_max": 10.0, "optimizer": "adam",
        "learning_rate": 2.5e-4, "adam_epsilon": 0.01 / 32, "gradient_clip": None, "target_period": 10_000 // 4,
        "epsilon_end": 0.01,
    },
    "qr_dqn": {
        **NATURE, "distribution": "quantile", "num_quantiles": 200, "huber_kappa": 1.0, "optimizer": "adam",
        "learning_rate": 5e-5, "adam_epsilon": 0.01 / 32, "gradient_clip": None, "target_period": 10_000 // 4,
        "epsilon_end": 0.01,
    },
    "rainbow": {
        **NATURE, "double": True, "dueling": True, "noisy": True, "noise_start": 0.5, "n_step": 3,
        "distribution": "categorical", "num_atoms": 51, "v_min": -10.0, "v_max": 10.0, "optimizer": "adam",
        "learning_rate": 6.25e-5, "adam_epsilon": 1.5e-4, "gradient_clip": 10.0, "epsilon_start": 0.0,
        "epsilon_end": 0.0, "replay": "prioritized", "priority_exponent": 0.5, "importance_start": 0.4,
        "importance_end": 1.0, "learn_start": 80_000 // 4, "target_period": 32_000 // 4 // 4,
    },
}  # fmt: skip


@pytest.mark.parametrize("agent", PAPERS)
def test_on_atari_a_variant_has_the_settings_of_its_paper(agent: str) -> None:
    preset = find_preset(agent, "ALE/Pong-v5")
    assert preset is not None
    settings = check_settings(agent, from_short_names(preset.settings, preset.name), preset.name)
    merged = lay_over(agent, default_settings(agent), settings)["agent_config"]
    assert {name: merged[name] for name in PAPERS[agent]} == PAPERS[agent]


def test_another_environment_or_agent_has_none() -> None:
    assert find_preset("dqn", "CartPole-v0") is None
    assert find_preset("random", "CartPole-v1") is None


def test_the_most_exact_pattern_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    rivals = [Preset("a", "dqn", "ALE/*", "", {}), Preset("b", "dqn", "ALE/Pong-v5", "", {})]
    monkeypatch.setattr(presets, "presets", lambda: {preset.name: preset for preset in rivals})
    assert find_preset("dqn", "ALE/Pong-v5") == rivals[1]
    assert find_preset("dqn", "ALE/Breakout-v5") == rivals[0]


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(UserError, match=r"'dqn-cartpol'.* Did you mean 'dqn-cartpole'\?"):
        get_preset("dqn-cartpol")
