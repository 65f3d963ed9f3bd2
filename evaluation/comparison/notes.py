"""What has to be said of a comparison before a number in it is believed: what was left out, lacks, or differs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tengen.evaluation.comparison.settings import MACHINES, agent_settings, differing_names, short

if TYPE_CHECKING:
    from tengen.evaluation.comparison.comparison import Comparison, Entry, Task


def comparison_notes(comparison: Comparison) -> list[str]:
    """Return what a reader of a comparison has to know before believing a number."""
    notes = [f"{out.folder} is left out: {out.reason}." for out in comparison.left_out]
    notes += _notes_on_protocols(comparison.tasks)
    for task in comparison.tasks:
        notes += _notes_on_seeds(comparison, task.name)
        notes += _notes_on_budgets(comparison, task.name)
        notes += _notes_on_settings(comparison, task.name)
        notes += _notes_on_equal_runs(comparison, task.name)
    notes += _notes_on_machines(comparison.entries)
    return notes


def _notes_on_protocols(tasks: Sequence[Task]) -> list[str]:
    """Say which tasks are the same environment, and why they are apart."""
    by_env: dict[str, list[Task]] = {}
    for task in tasks:
        by_env.setdefault(task.env, []).append(task)
    notes = []
    for env, same in by_env.items():
        if len(same) < 2:
            continue
        protocols = [task.protocol or {} for task in same]
        knobs = [name for name in differing_names(protocols) if name not in ("name", "reference")]
        if knobs:
            terms = [f"{knob}: {' / '.join(short(each.get(knob)) for each in protocols)}" for knob in knobs]
            names = " and ".join(dict.fromkeys(str(each.get("name", "none")) for each in protocols))
            notes.append(
                f"{env} was played under different protocols, {names}, and their scores are not compared with one "
                f"another ({'; '.join(terms)})."
            )
        else:
            notes.append(f"{env} was played with different settings, and their scores are not compared.")
    return notes


def _notes_on_seeds(comparison: Comparison, task: str) -> list[str]:
    seeds = {agent: {run.seed for run in comparison.runs(task, agent)} for agent in comparison.agents_on(task)}
    every = set().union(*seeds.values())
    notes = []
    for agent, own in seeds.items():
        if missing := sorted(every - own):
            listed = ", ".join(map(str, missing))
            notes.append(f"{agent} on {task} has no run with seed {listed}: it counts with {len(own)} of {len(every)}.")
    return notes


def _notes_on_budgets(comparison: Comparison, task: str) -> list[str]:
    runs = [entry.run for entry in comparison.entries if entry.task == task]
    notes = []
    budgets = sorted({run.steps for run in runs})
    if len(budgets) > 1:
        listed = ", ".join(f"{steps:,}" for steps in budgets)
        notes.append(f"Runs on {task} differ in steps ({listed}): scores are those of step {budgets[0]:,}.")
    episodes = sorted({int(run.settings.get("eval_episodes", 0)) for run in runs})
    if len(episodes) > 1:
        notes.append(f"Evaluations on {task} differ in their number of episodes: {', '.join(map(str, episodes))}.")
    short = [run for run in runs if run.evaluations.steps[-1] < run.steps]
    if short:
        last = min(int(run.evaluations.steps[-1]) for run in short)
        notes.append(f"On {task} the last evaluation came before the last step in {len(short)} runs (step {last:,}).")
    return notes


def _notes_on_settings(comparison: Comparison, task: str) -> list[str]:
    """Say where one name stands for different settings, as only the caller's labels can make it."""
    return [
        f"The runs of {agent} on {task} differ in {', '.join(names)}."
        for agent in comparison.agents_on(task)
        if (names := differing_names([agent_settings(run) for run in comparison.runs(task, agent)]))
    ]


def _notes_on_equal_runs(comparison: Comparison, task: str) -> list[str]:
    """Say where runs of several seeds may be no more evidence than one."""
    notes = []
    for agent in comparison.agents_on(task):
        runs = comparison.runs(task, agent)
        if len(runs) > 1 and len({tuple(run.evaluations.scores.tolist()) for run in runs}) == 1:
            notes.append(
                f"All {len(runs)} runs of {agent} on {task} had the same score at each evaluation: nothing tells"
                " them from one and the same run, and their intervals say nothing."
            )
    return notes


def _notes_on_machines(entries: Sequence[Entry]) -> list[str]:
    notes = []
    machines = [{name: entry.run.settings.get(name) for name in MACHINES} for entry in entries]
    for what, of_runs in (("versions", [entry.run.versions for entry in entries]), ("device or threads", machines)):
        terms = [
            f"{name}: {' / '.join(dict.fromkeys(str(each.get(name, 'none')) for each in of_runs))}"
            for name in differing_names(of_runs)
            if all(name in each for each in of_runs)  # older runs don't tell of every package
        ]
        if terms:
            notes.append(f"Runs differ in {what} ({'; '.join(terms)}).")
    resumed = sum(entry.run.sessions > 1 for entry in entries)
    if resumed:
        notes.append(
            f"{resumed} of {len(entries)} runs were interrupted and went on; times are summed over their sessions."
        )
    return notes
