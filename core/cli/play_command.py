"""`tengen play`: a film of what a run has learnt, or a game of Go against a person (`play_go.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tengen.cli.options import Command, Option, parse
from tengen.cli.policy_options import CHECKPOINT, EPSILON, RUN, check_episodes, epsilon_of

_COMMAND = Command(
    "tengen play",
    "Write a GIF (or an MP4, with the extra `video`) of what a run has learnt playing. `tengen play go` plays Go with"
    " you in the terminal (see `tengen play go --help`).",
    (
        "tengen play runs/mine",
        "tengen play runs/mine --out best.mp4 --episodes 3 --checkpoint best",
        "tengen play go --size 9 --color black",
        "tengen play runs/go --human",
    ),
)
_OPTIONS = (
    RUN,
    Option("out", Path | None, "The file; play-STEP-seedN.gif in the run's folder unless given.", None, "FILE"),
    Option("episodes", int, "Episodes, one after the other.", 1),
    Option("seed", int, "Seed of the first episode; the next has the next seed.", 0),
    CHECKPOINT,
    EPSILON,
    Option("human", bool, "Play against it in the terminal, in place of a film; for runs of tengen/Go-v0.", False),
    Option("color", str, "Your color with --human: black or white.", "black", "black|white"),
)


def run(arguments: Sequence[str]) -> int:
    """Run the command."""
    if arguments and arguments[0] == "go":
        from tengen.cli import play_go

        return play_go.run(arguments[1:])
    parsed = parse(_COMMAND, _OPTIONS, arguments)
    if parsed is None:
        return 0
    given = parsed.values
    check_episodes(given)
    if given["human"]:
        from tengen.cli import play_go

        return play_go.run_of(given["run"], given["color"])

    from tengen.run import load_policy, open_run
    from tengen.video import drawing_kwargs, film

    run = open_run(given["run"])
    loaded = load_policy(run, given["checkpoint"], num_envs=1, env_kwargs=drawing_kwargs(run.config.env.id))
    path: Path = given["out"] or run.folder / f"play-{loaded.step}-seed{given['seed']}.gif"
    try:
        result = film(
            loaded.policy,
            loaded.env,
            path,
            episodes=given["episodes"],
            seed=given["seed"],
            epsilon=epsilon_of(given, loaded.env),
        )
    finally:
        loaded.env.close()
    assert result is not None, "nothing asked it to stop"
    print(f"{path}: returns {', '.join(f'{value:g}' for value in result.returns)}")
    return 0
