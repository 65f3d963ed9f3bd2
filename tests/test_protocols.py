import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from tengen.envs.protocols import DEFAULT_PROTOCOL, AtariProtocol, load_protocol, protocol_names
from tengen.errors import UserError

NATURE_TEXT = (resources.files("tengen.presets") / "protocols" / "nature2015.toml").read_text(encoding="utf-8")


def test_both_protocols_are_listed_and_nature_is_the_default() -> None:
    assert protocol_names() == ["machado2018", "nature2015", "sb3"]
    assert DEFAULT_PROTOCOL == "nature2015"


def test_nature2015_is_the_protocol_of_the_dqn_paper() -> None:
    assert load_protocol("nature2015") == AtariProtocol(
        name="nature2015",
        reference="Mnih et al. 2015, Nature 518, 529-533, Methods and Extended Data Table 1",
        sticky_action_probability=0.0,
        frame_skip=4,
        max_pool=True,
        frame_stack=4,
        screen_size=84,
        grayscale=True,
        full_action_set=False,
        fire_reset=False,
        training_noop_max=30,
        training_life_loss_ends_value=True,
        training_clip_rewards=True,
        training_max_frames=108_000,
        evaluation_noop_max=30,
        evaluation_max_frames=18_000,
        evaluation_epsilon=0.05,
    )


def test_machado2018_has_sticky_actions_all_18_actions_and_no_life_loss_signal() -> None:
    protocol = load_protocol("machado2018")
    assert protocol.sticky_action_probability == 0.25
    assert protocol.full_action_set
    assert not protocol.training_life_loss_ends_value
    assert protocol.evaluation_epsilon == 0.01


@pytest.mark.parametrize("name", ["nature2015", "machado2018"])
def test_each_knob_has_a_comment_above_it(name: str) -> None:
    text = (resources.files("tengen.presets") / "protocols" / f"{name}.toml").read_text(encoding="utf-8")
    lines = text.splitlines()
    knobs = [i for i, line in enumerate(lines) if " = " in line and not line.startswith("#")]
    uncommented = {lines[i].split(" = ")[0] for i in knobs if not lines[i - 1].startswith("#")}
    assert uncommented <= {"reference"}
    assert len(knobs) == 1 + 15


def test_an_unknown_name_gets_the_nearest_and_the_list() -> None:
    with pytest.raises(UserError, match=r"'nature2105'.*Did you mean 'nature2015'\?.*machado2018, nature2015"):
        load_protocol("nature2105")


def test_a_protocol_file_of_ones_own_is_named_after_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(NATURE_TEXT.replace("frame_skip = 4", "frame_skip = 2"))
    protocol = load_protocol(str(path))
    assert protocol.name == "mine"
    assert protocol.frame_skip == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("frame_skip = 4", "frame_skip = 0", "frame_skip = 0, expected a whole number from 1 to 1000"),
        ("frame_skip = 4", "frame_skip = 4.5", "frame_skip = 4.5, expected a whole number"),
        ("frame_skip = 4", "frame_skip = true", "frame_skip = True, expected a whole number"),
        ("noop_max = 30", "noop_max = -1", "noop_max = -1, expected a whole number from 0 to 10000"),
        ("frame_skip = 4", "frame_skip = 1_000_000_000_000", "expected a whole number from 1 to 1000"),
        ("frame_stack = 4", "frame_stack = 1_000_000", "expected a whole number from 1 to 100"),
        ("screen_size = 84", "screen_size = 1_000_000", "expected a whole number from 1 to 1000"),
        ("noop_max = 30", "noop_max = 2_147_483_647", "expected a whole number from 0 to 10000"),
        ("max_frames = 18_000", "max_frames = 10_000_000_000", "expected a whole number from 1 to 2147483647"),
        ("epsilon = 0.05", "epsilon = 5", "evaluation_epsilon = 5, expected a probability"),
        ("max_pool = true", 'max_pool = "yes"', "max_pool = 'yes', expected true or false"),
        ("frame_skip = 4", "", "lacks frame_skip"),
        ("frame_skip = 4", "frame_skip = 4\nframe_skips = 4", "has an unknown frame_skips"),
        ("frame_skip = 4", 'frame_skip = 4\nname = "nature2015"', "has an unknown name"),
        ("[game]", "[games]", "'games', expected `reference` and the sections game, training, evaluation"),
        ("[game]", "[game", "is not a TOML file"),
    ],
)
def test_a_malformed_protocol_is_refused_with_its_mistake(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(NATURE_TEXT.replace(old, new))
    with pytest.raises(UserError, match="'bad'") as refusal:
        load_protocol(str(path))
    assert message in str(refusal.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't be read"):
        load_protocol(str(tmp_path / "none.toml"))


def test_a_changed_protocol_says_so_in_its_name() -> None:
    nature = load_protocol("nature2015")
    changed = nature.with_changes(sticky_action_probability=0.25, frame_skip=4)
    assert changed.name == "nature2015 (sticky_action_probability=0.25)"
    assert changed.sticky_action_probability == 0.25
    assert nature.with_changes(frame_skip=4) == nature


def test_an_unknown_or_wrong_change_is_refused() -> None:
    nature = load_protocol("nature2015")
    with pytest.raises(UserError, match=r"no field 'sticky'.*Its fields: sticky_action_probability"):
        nature.with_changes(sticky=0.25)
    with pytest.raises(UserError, match=r"no field 'name'"):
        nature.with_changes(name="better")
    with pytest.raises(UserError, match=r"sticky_action_probability = 1.5, expected a probability"):
        nature.with_changes(sticky_action_probability=1.5)


def test_protocols_and_scores_import_nothing_heavy() -> None:
    code = (
        "import sys, tengen.envs.protocols as p, tengen.envs.scores as s\n"
        "p.load_protocol('nature2015'), s.human_normalized('ALE/Pong-v5', 0.0)\n"
        "print(sorted({'numpy', 'gymnasium', 'ale_py', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
