"""`tengen play`: a film of what a run has learnt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tengen.cli.options import Command, Option, parse
from tengen.cli.policy_options import CHECKPOINT, EPSILON, RUN, check_episodes, epsilon_of

_COMMAND = Command(
    "tengen play",
    "Write a GIF (or an MP4, with the extra `video`) of what a run has learnt playing.",
    ("tengen play runs/mine", "tengen play runs/mine --out best.mp4 --episodes 3 --checkpoint best"),
)
_OPTIONS = (
    RUN,
    Option("out", Path | None, "The file; play-STEP-seedN.gif in the run's folder unless given.", None, "FILE"),
    Option("episodes", int, "Episodes, one after the other.", 1),
    Option("seed", int, "Seed of the first episode; the next has the next seed.", 0),
    CHECKPOINT,
    EPSILON,
)


def run(arguments: Sequence[str]) -> int:
    """Run the command."""
    parsed = parse(_COMMAND, _OPTIONS, arguments)
    if parsed is None:
        return 0
    given = parsed.values
    check_episodes(given)

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
