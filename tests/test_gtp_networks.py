"""Networks and runs as players of Go."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gtp_helpers import ask, engine, say

from tengen.agents.alphazero.agent import SearchPolicy
from tengen.agents.mcts import MCTSPolicy
from tengen.cli import gtp_command, main
from tengen.cli.options import parse
from tengen.envs.go.rules import Rules
from tengen.envs.go.simulator import Go
from tengen.errors import UserError
from tengen.evaluation.go import makers
from tengen.evaluation.go.engine import Engine
from tengen.evaluation.go.game import Game
from tengen.evaluation.go.makers import (
    NetworkMaker,
    PlayoutMaker,
    ShippedMaker,
    network_maker,
    shipped_network,
)
from tengen.evaluation.go.match import MatchSettings, play_match
from tengen.evaluation.go.run_maker import RunMaker
from tengen.evaluation.go.specs import parse_player
from tengen.evaluation.go.thinkers import Candidate
from tengen.perception.network_file import Card, load_network, make_network, save_network
from tengen.planners.mcts import evaluators
from tengen.planners.mcts.evaluators import Evaluate, NetworkFunction, mixed
from tengen.planners.mcts.guesses import Guess, policy_guess
from tengen.types import Array, Bools, TimeStep


def network(
    path: Path,
    size: int = 5,
    planes: str = "standard",
    name: str = "ResidualTower",
    komi: float | None = None,
    **changes: Any,
) -> str:
    """A small network's file; its weights are whatever they begin with."""
    parameters: dict[str, Any] = {"planes": 23 if planes == "standard" else 1, "width": 8, **changes}
    architecture = {"class": name, "parameters": parameters}
    torch.manual_seed(0)
    save_network(path, make_network(architecture), Card(architecture, planes, size, komi))
    return str(path)


@pytest.mark.parametrize("planes", ["standard", "board"])
@pytest.mark.parametrize("kind", ["network", "policy"])
def test_a_network_plays_with_search_and_without(tmp_path: Path, kind: str, planes: str) -> None:
    path = network(tmp_path / "net.safetensors", planes=planes, blocks=1)
    player = engine(f"{kind}:{path}", size=5)
    moves = [say(player, f"genmove {'bw'[turn % 2]}") for turn in range(6)]
    assert len(player.game.moves) == 6
    assert len(set(moves) - {"pass"}) == 6 - moves.count("pass")
    assert "info move" in say(player, "kata-analyze 1")


def test_a_network_that_is_asked_once_says_once_what_it_thinks(tmp_path: Path) -> None:
    path = network(tmp_path / "net.safetensors", blocks=1)
    for settings in ({"playouts": None, "seconds": 0.3}, {"playouts": 5}):
        *lines, move = say(engine(f"policy:{path}", size=5, **settings), "lz-genmove_analyze b 1").split("\n")
        assert len(lines) == 1
        assert move.startswith("play ")


def test_a_network_without_values_is_searched_with_playouts(tmp_path: Path) -> None:
    path = network(tmp_path / "net.safetensors", name="PolicyCNN", layers=3)
    player = engine(f"network:{path}", size=5, playouts=30)
    line = say(player, "genmove b", "kata-analyze w 1")
    utilities = re.findall(r"utility (\S+)", line)
    assert any(float(utility) != 0 for utility in utilities), "playouts judge"


def playout_weights(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The shares of playouts in the leaves of searches that are made from now on, where they have any."""
    weights: list[float] = []

    def recorded(valued: Evaluate, played: Evaluate, weight: float) -> Evaluate:
        weights.append(weight)
        return mixed(valued, played, weight)

    monkeypatch.setattr(makers, "mixed", recorded)
    return weights


@pytest.mark.parametrize(
    ("name", "changes", "knows"),
    [
        ("ResidualTower", {"blocks": 1}, True),
        ("ResidualTower", {"blocks": 1, "value": False}, False),
        ("PolicyCNN", {"layers": 2}, False),
        ("PolicyCNN", {"layers": 2, "value": True}, True),
    ],
)
def test_a_networks_own_values_are_asked_where_it_has_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, changes: dict[str, Any], knows: bool
) -> None:
    path = network(tmp_path / "net.safetensors", name=name, **changes)
    weights = playout_weights(monkeypatch)
    say(engine(f"network:{path},rule=puct", size=5), "genmove b")
    assert weights == ([] if knows else [1.0])
    say(engine(f"network:{path},rule=puct,playout_weight=0.25", size=5), "genmove b")
    assert weights[-1] == (0.25 if knows else 1.0)


@pytest.mark.parametrize(
    ("learnt", "trusted", "others"),
    [(None, ["0.5", "0", "9"], ["-0.5", "9.5", "300"]), (2.5, ["2.5", "2", "3"], ["7.5", "-2.5"])],
)
def test_a_networks_values_count_at_the_komi_that_they_were_learnt_at_and_playouts_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, learnt: float | None, trusted: list[str], others: list[str]
) -> None:
    path = network(tmp_path / "net.safetensors", blocks=1, komi=learnt)
    player = engine(f"network:{path}", size=5)
    weights = playout_weights(monkeypatch)
    for komi in trusted:
        say(player, f"komi {komi}", "genmove b", "undo")
    assert weights == []
    for komi in others:
        say(player, f"komi {komi}", "genmove b", "undo")
    assert weights == [1.0] * len(others)


def test_whites_points_for_a_handicap_are_komi_that_values_may_not_have_been_learnt_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = engine(f"network:{network(tmp_path / 'net.safetensors', size=9, blocks=1)}")
    weights = playout_weights(monkeypatch)
    say(player, "kata-set-rules chinese", "komi 7.5", "fixed_handicap 4")
    assert weights == [1.0]


@pytest.mark.parametrize(("komi", "rate"), [(-300, 1.0), (300, 0.0)])
def test_a_game_that_the_komi_decides_is_not_judged_by_a_networks_values(
    tmp_path: Path, komi: int, rate: float
) -> None:
    path = network(tmp_path / "net.safetensors", blocks=1)
    searching, choosing = engine(f"network:{path}", size=5), engine(f"policy:{path}", size=5)
    assert {c.win_rate for c in thoughts(searching, f"komi {komi}")} == {rate}
    assert {c.win_rate for c in thoughts(choosing, f"komi {komi}")} == {0.5}, "it knows nothing"


def thoughts(player: Engine, line: str) -> tuple[Candidate, ...]:
    """Black's candidates after a command."""
    say(player, line)
    thought = player.choose(1).thought
    assert thought is not None
    return thought.candidates


@pytest.mark.parametrize(("value", "rule", "guides"), [(False, "", True), (True, "", False), (True, ",rule=uct", True)])
def test_a_network_without_values_only_guides_a_search_over_playouts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: bool, rule: str, guides: bool
) -> None:
    path = network(tmp_path / "net.safetensors", name="PolicyCNN", layers=2, value=value)
    asked: list[int] = []

    def counting(simulator: Go, function: NetworkFunction) -> Guess:
        guess = policy_guess(simulator, function)

        def counted(states: Any, legal: Bools) -> tuple[Array, Array]:
            asked.append(len(legal))
            return guess(states, legal)

        return counted

    monkeypatch.setattr(makers, "policy_guess", counting)
    say(engine(f"network:{path}{rule}", size=5, playouts=3200), "genmove b")
    assert sum(asked) <= 101, "once for each node, which has 32 playouts at least"
    assert (sum(asked) > 5) == guides


def test_a_weight_of_playouts_above_one_is_refused() -> None:
    with pytest.raises(UserError, match=r"playout_weight in .* must be between 0 and 1, got 1.5"):
        parse_player("network:playout_weight=1.5")


@pytest.mark.parametrize("rule", ["puct", "gumbel"])
def test_a_search_over_playouts_by_another_rule_goes_without_rave(rule: str) -> None:
    player = engine(f"mcts:rule={rule},playouts=16", size=5)
    assert say(player, "genmove b") != "resign"
    with pytest.raises(UserError, match="rave_equivalence is for the rule uct, got 100"):
        engine(f"mcts:rule={rule},playouts=16,rave_equivalence=100", size=5)


def test_gumbel_plays_by_a_number_of_playouts_and_is_refused_without(capsys: pytest.CaptureFixture[str]) -> None:
    player = "mcts:rule=gumbel"
    assert main(["gtp", "--player", player, "--time", "1"]) == 2
    assert f"give {player!r} playouts=N" in capsys.readouterr().err
    assert parse_player(player).settings(20, None, None).playouts == 20
    gumbel = engine(player, size=5)
    say(gumbel, "genmove b")
    with pytest.raises(UserError, match="gumbel needs a number of simulations"):
        next(gumbel.analyze(-1, 0.01, lambda: True))


def test_a_network_of_the_wrong_size_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = network(tmp_path / "net.safetensors", size=9, blocks=1)
    for words in (["gtp", "--size", "5", "--network", path], ["match", f"policy:{path}", "random", "--size", "5"]):
        assert main(words) == 2
        assert f"{path} was trained on 9x9, not 5x5: choose another, or name it as a player" in capsys.readouterr().err
    player = engine(f"network:{path}")
    assert ask(player, "boardsize 13") == "? unacceptable size\n\n"
    why = capsys.readouterr().err
    assert why.startswith(f"tengen: error: boardsize 13: {path} was trained on 9x9, not 13x13: ")
    assert why.count("\n") == 1
    say(player, "genmove b")


@pytest.mark.parametrize("kind", ["network", "policy"])
def test_a_network_plays_on_another_size_where_that_is_asked_for(tmp_path: Path, kind: str) -> None:
    path = network(tmp_path / "net.safetensors", size=7, name="PolicyCNN", layers=3)
    assert say(engine(f"{kind}:{path},any_size=true", size=5), "genmove b")
    with pytest.raises(UserError, match="7x7"):
        say(engine(f"{kind}:{path},any_size=false", size=5), "genmove b")


@pytest.mark.parametrize("content", [b"", b"no network", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_what_is_no_network_is_refused_in_one_line(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    assert main(["gtp", "--network", str(path)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert str(path) in err


def trained(run: Path, agent: str = "random", kwargs: str = "{size=5}", env: str = "tengen/Go-v0", *more: str) -> Path:
    """The folder of a run of a few steps."""
    words = ["train", agent, "--env", env, "--env.kwargs", kwargs, "--steps", "5", "--device", "cpu", *more]
    assert main([*words, "--run-dir", str(run)]) == 0
    return run


def test_a_run_that_is_no_go_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(tmp_path / "run", "random", "{}", "tengen/TicTacToe-v0")
    assert main(["gtp", "--player", str(run)]) == 2
    assert "is a run of tengen/TicTacToe-v0, which is no Go" in capsys.readouterr().err


def test_what_a_run_has_learnt_plays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(tmp_path / "run", "random", "{}")
    before = torch.get_num_threads()
    try:
        rules = network_maker(str(run), {}, before + 1, searches=True).simulator.rules  # type: ignore[attr-defined]
        assert torch.get_num_threads() == before + 1, "its own threads, not those that the run was trained with"
    finally:
        torch.set_num_threads(before)
    result = play_match(MatchSettings(str(run), "random", rules), tmp_path / "match", 2)
    assert result["errors"] == []
    with pytest.raises(UserError, match="was trained on 9x9, not 5x5"):
        play_match(MatchSettings(str(run), "random", Rules(size=5)), tmp_path / "other", 1)


def test_a_run_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trained(tmp_path / "lr=0.1,b")
    parsed = parse(gtp_command._COMMAND, gtp_command.PLAYER_OPTIONS, ["--size", "5", "--network", "lr=0.1,b"])
    assert parsed is not None
    say(gtp_command.make_engine(parsed), "genmove b")


def test_a_network_beside_a_player_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gtp", "--player", "random", "--network", "none"]) == 2
    assert "--player and --network both say who plays" in capsys.readouterr().err


def test_a_run_that_was_trained_against_an_opponent_plays(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", "random", '{size=5, opponent="random", color="white"}')
    say(engine(str(run), size=5), "genmove b", "genmove w")


SEARCHES = ("mcts", "{size=5}", "tengen/Go-v0", "--agent.simulations", "20")


def test_a_run_that_searches_knows_the_rules_of_the_game(tmp_path: Path) -> None:
    maker = network_maker(str(trained(tmp_path / "run", *SEARCHES)), {}, 1, searches=True)
    assert isinstance(maker, RunMaker)
    for komi, value in ((-25.5, 1.0), (25.5, -1.0)):
        game = Game(Go(Rules(size=5, komi=komi)))
        policy = maker.policy_by(game.simulator.rules)
        assert isinstance(policy, MCTSPolicy)
        assert policy.search(first_step(game), np.random.default_rng(0)).value[0] == value


def test_a_run_with_a_network_is_judged_by_playouts_at_another_komi_than_its_own(tmp_path: Path) -> None:
    more = ("--agent.simulations", "8", "--agent.blocks", "1", "--agent.width", "8")
    maker = network_maker(
        str(trained(tmp_path / "run", "alphazero", "{size=5, komi=2.5}", "tengen/Go-v0", *more)), {}, 1, searches=True
    )
    assert isinstance(maker, RunMaker)
    values = {}
    for komi in (-25.5, 2.5, 25.5):
        game = Game(Go(Rules(size=5, komi=komi), maker.simulator.planes))
        policy = maker.policy_by(game.simulator.rules)
        assert isinstance(policy, SearchPolicy)
        values[komi] = float(policy.plan(first_step(game), np.random.default_rng(0)).value[0])
    assert (values[-25.5], values[25.5]) == (1.0, -1.0)
    assert -1 < values[2.5] < 1


def first_step(game: Game) -> TimeStep:
    """A game's position as an environment shows it at the beginning."""
    no, observation = np.zeros(1, np.bool_), game.simulator.observe(game.states)
    return TimeStep(observation, np.zeros(1), np.ones(1), no, no, game.legal(1)[None], game.states)


def test_a_run_that_searches_plays_on_under_other_rules(tmp_path: Path) -> None:
    player = engine(str(trained(tmp_path / "run", *SEARCHES)), size=5)
    say(player, "genmove b", "komi 3", "genmove w", "clear_board", 'kata-set-rules {"ko":"SIMPLE"}', "genmove b")
    assert "info move" in say(player, "lz-analyze w")


@pytest.mark.slow
def test_openvino_plays_as_torch_does(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    path = network(tmp_path / "net.safetensors", blocks=1)
    visits = []
    for backend in ("torch", "openvino"):
        maker = parse_player(f"policy:{path},backend={backend}").maker()
        assert isinstance(maker, NetworkMaker)
        player = engine(f"policy:{path},backend={backend}", size=5)
        visits.append(say(player, "play b C3", "genmove w"))
    assert visits[0] == visits[1]


def test_a_shipped_network_is_known_by_its_name() -> None:
    maker = parse_player("policy:go_policy_19x19").maker()
    assert isinstance(maker, NetworkMaker)
    assert maker.loaded.card.size == 19


@pytest.mark.parametrize(("name", "rule"), [("go_policy_9x9", "uct"), ("go_policy_19x19", "puct")])
def test_a_policy_guides_playouts_on_small_boards_only(name: str, rule: str) -> None:
    maker = parse_player(f"network:{name}").maker()
    assert isinstance(maker, NetworkMaker)
    assert maker.settings is not None
    assert maker.settings.rule == rule


def test_a_shipped_network_that_knows_values_goes_before_one_that_does_not() -> None:
    path = shipped_network(19)
    assert path is not None
    assert path.stem == "go_policy_value_19x19"
    policy, value = load_network(path)(np.zeros((2, 23, 19, 19), np.uint8))
    assert policy.shape == (2, 362)
    assert value is not None


def test_boards_without_a_shipped_network_are_played_by_playouts() -> None:
    maker = parse_player("network").maker()
    assert isinstance(maker, ShippedMaker)
    assert shipped_network(4) is None
    assert isinstance(maker._of(4), PlayoutMaker)
    assert maker.planes(4) == "board"


def test_a_policy_is_refused_on_boards_without_a_shipped_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gtp", "--size", "5", "--player", "policy"]) == 2
    assert "no network is shipped for 5x5, only go_policy_19x19, go_policy_9x9" in capsys.readouterr().err
    player = engine("policy")
    assert ask(player, "boardsize 5") == "? unacceptable size\n\n"
    say(player, "genmove b")


@pytest.mark.parametrize(
    ("text", "overlap", "playing"),
    [
        *(("mcts", False, 1), ("mcts:threads=2", True, 1), ("mcts:threads=4", True, 3), ("mcts:overlap=true", True, 1)),
        *(("mcts:threads=2,overlap=false", False, 2), ("mcts:threads=2,rule=gumbel", False, 2)),
        *(("network:go_policy_9x9,threads=2", True, 1), ("network:go_policy_9x9,threads=2,rule=puct", False, 2)),
        ("network:go_policy_9x9", False, 1),
    ],
)
def test_with_several_threads_a_search_over_playouts_goes_on_while_they_last(
    text: str, overlap: bool, playing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared: list[int] = []

    def light_playouts(*arguments: Any, threads: int, **settings: Any) -> Any:
        shared.append(threads)
        return evaluators.light_playouts(*arguments, threads=threads, **settings)

    monkeypatch.setattr(makers, "light_playouts", light_playouts)
    maker = parse_player(text).maker()
    assert isinstance(maker, PlayoutMaker | NetworkMaker)
    assert maker.settings is not None
    assert maker.settings.overlap == overlap
    maker(Go(Rules(9), maker.planes(9)))
    assert shared == [playing]


@pytest.mark.parametrize("player", ["mcts:playouts=300,threads=2", "network:go_policy_9x9,playouts=300,threads=3"])
def test_the_same_seed_plays_the_same_game_with_several_threads(player: str) -> None:
    engines = [engine(player) for _ in range(2)]
    games = [[say(own, line) for line in ["genmove b", "genmove w"] * 3] for own in engines]
    assert games[0] == games[1]


@pytest.mark.parametrize("value", ["yes", "1", ""])
def test_a_switch_that_is_neither_true_nor_false_is_refused(value: str) -> None:
    with pytest.raises(UserError, match=f"overlap in .* must be true or false, got '{value}'"):
        parse_player(f"mcts:overlap={value}")
