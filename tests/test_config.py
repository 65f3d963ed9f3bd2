from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from tengen.agents.dqn.config import DQNConfig
from tengen.config import (
    RunConfig,
    TrackConfig,
    default_settings,
    from_short_names,
    lay_over,
    make_run_config,
    read_settings_file,
    run_config_from_dict,
)
from tengen.envs.config import EnvConfig
from tengen.errors import UserError
from tengen.registry import names
from tengen.typed import check_values, convert, describe, field_docs, overlay

RUN = RunConfig(
    agent="dqn",
    agent_config=DQNConfig(gamma=0.5, hidden=(3, 4), reward_clip=1.0, gradient_clip=None, target="polyak"),
    env=EnvConfig(id="ALE/Pong-v5", num_envs=3, protocol="nature2015", kwargs={"a": [1, {"b": None}]}),
    steps=7,
    seed=2**40,
    device="cuda:1",
    track=TrackConfig(to="wandb", tags=("a", "b"), group="g", video=True),
    preset="dqn-atari",
)


def test_a_run_config_survives_a_trip_through_json() -> None:
    assert run_config_from_dict(json.loads(json.dumps(RUN.to_dict()))) == RUN
    assert run_config_from_dict(RUN.to_dict()) == RUN


@pytest.mark.parametrize("agent", names("agents"))
def test_the_defaults_of_each_agent_survive_a_trip_through_json(agent: str) -> None:
    config = make_run_config(agent, default_settings(agent))
    assert run_config_from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_settings_that_a_saved_run_does_not_have_get_their_defaults() -> None:
    values = RUN.to_dict()
    del values["log_period"]
    del values["agent_config"]["n_step"]
    assert run_config_from_dict(values) == RUN


def test_the_file_of_a_wrong_setting_is_named() -> None:
    with pytest.raises(UserError, match=r"^here: track\.tags must be a list, each item a text, got 'a'$"):
        run_config_from_dict({**RUN.to_dict(), "track": {"tags": "a"}}, "here")
    with pytest.raises(UserError, match=r"^here: --steps must be at least 1, got -1$"):
        run_config_from_dict({**RUN.to_dict(), "steps": -1}, "here")
    with pytest.raises(UserError, match=r"^here: no agent is called 'dqm'"):
        run_config_from_dict({**RUN.to_dict(), "agent": "dqm"}, "here")


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (3, int, 3),
        (3, float, 3.0),
        (3.5, float, 3.5),
        (True, bool, True),
        ("x", str, "x"),
        ("a", Literal["a", 3], "a"),
        (3, Literal["a", 3], 3),
        (None, float | None, None),
        (3, float | None, 3.0),
        ([1, 2], tuple[int, ...], (1, 2)),
        ([1, "a"], tuple[int, str], (1, "a")),
        ([[1], []], tuple[tuple[int, ...], ...], ((1,), ())),
        ((1, 2), list[int], [1, 2]),
        ([1], tuple[int, ...] | None, (1,)),
        ({"a": 1}, dict[str, Any], {"a": 1}),
        (object, Any, object),
    ],
)
def test_a_value_becomes_its_type(value: Any, kind: Any, expected: Any) -> None:
    result = convert(value, kind, "here", "x")
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (True, int, "x must be a whole number, got true"),
        (1, bool, "x must be true or false, got 1"),
        (3.0, int, "x must be a whole number, got 3.0"),
        (True, float, "x must be a number, got true"),
        ("3", int, "x must be a whole number, got '3'"),
        ("b", Literal["a", 3], "x must be 'a' or 3, got 'b'"),
        (True, Literal[1, 2], "x must be 1 or 2, got true"),
        ("x", float | None, "x must be a number or none, got 'x'"),
        (3, tuple[int, ...], "x must be a list, each item a whole number, got 3"),
        ("ab", tuple[str, ...], "x must be a list, each item a text, got 'ab'"),
        ([1], tuple[int, str], "x must be a list of 2 values (a whole number, a text), got [1]"),
        ([1], dict[str, Any], "x must be a table, got [1]"),
    ],
)
def test_a_value_of_another_type_is_refused_in_words(value: Any, kind: Any, words: str) -> None:
    with pytest.raises(UserError) as caught:
        convert(value, kind, "here", "x")
    assert str(caught.value) == f"here: {words}"


@dataclass(frozen=True)
class Inner:
    width: int = 1
    """How wide
    it is."""
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outer(Inner):
    inner: Inner = Inner()
    """What is in it."""
    height: int = 2


def test_nested_dataclasses_are_checked_to_their_leaves() -> None:
    assert check_values(Outer, {"inner": {"width": 3}}, "here") == {"inner": {"width": 3}}
    with pytest.raises(UserError, match=r"^here: inner\.width must be a whole number, got 'x'$"):
        check_values(Outer, {"inner": {"width": "x"}}, "here")
    with pytest.raises(UserError, match=r"^here: there is no setting 'inner\.widht'\. Did you mean 'width'\?$"):
        check_values(Outer, {"inner": {"widht": 3}}, "here")
    with pytest.raises(UserError, match=r"^here: inner must be a table of settings, got 3$"):
        check_values(Outer, {"inner": 3}, "here")


def test_an_unknown_setting_with_no_likeness_lists_those_there_are() -> None:
    with pytest.raises(UserError, match=r"It knows: width, kwargs\."):
        check_values(Inner, {"zzzz": 3}, "here")


def test_layers_merge_nested_dataclasses_and_replace_all_else() -> None:
    below = {"width": 1, "inner": {"width": 1, "kwargs": {"a": 1}}}
    above = {"inner": {"kwargs": {"b": 2}}}
    assert overlay(below, above, Outer) == {"width": 1, "inner": {"width": 1, "kwargs": {"b": 2}}}
    assert below == {"width": 1, "inner": {"width": 1, "kwargs": {"a": 1}}}


def test_a_range_is_checked_on_what_the_layers_come_to() -> None:
    below = lay_over("dqn", default_settings("dqn"), {"agent_config": {"n_step": 3}})
    between = lay_over("dqn", below, {"agent_config": {"replay": "none"}})  # refused by itself
    assert make_run_config("dqn", lay_over("dqn", between, {"agent_config": {"n_step": 1}})).agent_config.n_step == 1
    with pytest.raises(UserError, match="n_step of 3 needs a replay buffer"):
        make_run_config("dqn", between)


def test_documentation_is_read_from_the_source() -> None:
    assert field_docs(Outer) == {"width": "How wide it is.", "inner": "What is in it."}
    assert field_docs(dataclasses.make_dataclass("Made", [("x", int)])) == {}


@pytest.mark.parametrize("cls", [RunConfig, EnvConfig, TrackConfig, DQNConfig])
def test_every_setting_is_documented(cls: type[Any]) -> None:
    assert set(field_docs(cls)) >= {each.name for each in dataclasses.fields(cls)}


def test_a_file_takes_the_names_of_the_options(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("""
        steps = 3
        env = "CartPole-v1"
        num_envs = 2
        protocol = "p"
        track = "wandb"
        [agent]
        name = "dqn"
        gamma = 0.5
    """)
    assert read_settings_file(path) == {
        "steps": 3,
        "env": {"id": "CartPole-v1", "num_envs": 2, "protocol": "p"},
        "track": {"to": "wandb"},
        "agent": "dqn",
        "agent_config": {"gamma": 0.5},
    }


def test_a_file_takes_tables_as_well() -> None:
    tables = {"env": {"id": "a", "kwargs": {"x": 1}}, "track": {"to": "wandb", "group": "g"}, "agent": "dqn"}
    assert from_short_names(tables, "here") == tables


def test_types_are_described_in_words() -> None:
    assert describe(Literal["a"]) == "'a'"
    assert describe(Literal["a", "b", "c"]) == "'a', 'b' or 'c'"
    assert describe(int | float | None) == "a whole number or a number or none"
    assert describe(Path) == "Path"
