from __future__ import annotations

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


@pytest.mark.parametrize(
    ("env_id", "name"),
    [
        ("CartPole-v1", "dqn-cartpole"),
        ("Acrobot-v1", "dqn-acrobot"),
        ("MountainCar-v0", "dqn-mountaincar"),
        ("LunarLander-v3", "dqn-lunarlander"),
        ("ALE/Breakout-v5", "dqn-atari"),
        ("ALE/Pong-v5", "dqn-atari"),
    ],
)
def test_dqn_has_a_preset_for_each_environment_it_is_shown_on(env_id: str, name: str) -> None:
    found = find_preset("dqn", env_id)
    assert found is not None
    assert found.name == name


def test_atari_is_learnt_in_bfloat16_where_the_processor_has_it() -> None:
    atari = [preset for preset in presets.presets().values() if preset.env == "ALE/*"]
    ours = [preset for preset in atari if not preset.agent.startswith("sb3:")]
    assert {preset.agent for preset in ours} >= {"dqn", "rainbow", "pqn"}
    for preset in ours:
        assert preset.settings["agent"]["precision"] == "auto", preset.name


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
