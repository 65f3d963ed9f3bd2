import pytest

from tengen.envs.atari import game_ids
from tengen.envs.scores import DEFAULT_TABLE, human_normalized, score_table, score_table_name
from tengen.errors import UserError


def test_random_play_is_0_and_the_human_is_1() -> None:
    assert human_normalized("ALE/Breakout-v5", 1.7) == 0.0
    assert human_normalized("ALE/Breakout-v5", 30.5) == 1.0
    assert human_normalized("ALE/Pong-v5", 18.0) == pytest.approx(38.7 / 35.3)


def test_the_human_scores_are_those_of_the_30_minute_condition() -> None:
    table = score_table()
    assert table["name"] == DEFAULT_TABLE == "dqn_zoo_30min"
    assert table["scores"]["ALE/Alien-v5"] == {"random": 227.8, "human": 7127.7}
    assert "30 minutes" in table["condition"]
    assert "dqn_zoo/atari_data.py" in table["source"]
    assert table["licence"] == "Apache-2.0"


def test_the_57_games_have_ids_that_can_be_played() -> None:
    scores = score_table()["scores"]
    assert len(scores) == 57
    assert set(scores) <= set(game_ids())
    assert all(entry["human"] > entry["random"] for entry in scores.values())


def test_an_environment_without_scores_has_neither_table_nor_number() -> None:
    assert score_table_name("ALE/Breakout-v5") == "dqn_zoo_30min"
    for env_id in ("CartPole-v1", "ALE/Pooyan-v5"):
        assert score_table_name(env_id) is None
        assert human_normalized(env_id, 100.0) is None


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(UserError, match="Did you mean 'dqn_zoo_30min'"):
        human_normalized("ALE/Pong-v5", 1.0, table="dqn_zoo_5min")
