"""Finished runs put side by side: which may be compared, under which names, and what has to be said about them.

Runs are compared on the same *task* only: the same environment with the same settings, under the same protocol. The
same environment under two protocols is two tasks, and no number is computed over both. Within a task, runs that differ
in their seed and in nothing that decides what is learnt are runs of one *agent*; an agent that ran with two settings is
two agents, called by what differs. Whatever is left out or marked is named, in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tengen.envs.scores import score_table, score_table_name
from tengen.errors import UserError
from tengen.evaluation.comparison.finished import FinishedRun, read_run
from tengen.evaluation.comparison.notes import comparison_notes
from tengen.evaluation.comparison.settings import agent_settings, differing_names, setting_key, short, task_settings

_FEW = 3  # settings named in an agent's label


@dataclass(frozen=True)
class Task:
    """Where agents are compared."""

    name: str
    """The environment's id, with the protocol or the settings where others differ in them."""
    env: str
    settings: Mapping[str, Any]
    """Of the environment, by dotted names."""
    protocol: Mapping[str, Any] | None
    """Each of its knobs; None where the environment has none."""
    threshold: float | None
    """The score that counts as solved."""
    threshold_source: str
    """Who says so."""
    references: Mapping[str, float]
    """Scores of whom no run is here: `human` and `random` of a score table, `optimal` of the caller."""
    score_table: str | None
    """The table that `human` and `random` are from."""


@dataclass(frozen=True)
class Entry:
    """A run with its place in the comparison."""

    task: str
    agent: str
    """The agent's name here."""
    run: FinishedRun


@dataclass(frozen=True)
class LeftOut:
    """A run that is not compared."""

    folder: Path
    reason: str


@dataclass(frozen=True)
class Comparison:
    """Agents, tasks, and the runs of each agent on each task."""

    tasks: tuple[Task, ...]
    agents: tuple[str, ...]
    entries: tuple[Entry, ...]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader has to know before believing a number."""

    def runs(self, task: str, agent: str) -> tuple[FinishedRun, ...]:
        """Return the runs of an agent on a task, by their seeds; empty where there are none."""
        found = [entry.run for entry in self.entries if entry.task == task and entry.agent == agent]
        return tuple(sorted(found, key=lambda run: run.seed))

    def agents_on(self, task: str) -> tuple[str, ...]:
        """Return the agents that have runs on a task."""
        present = {entry.agent for entry in self.entries if entry.task == task}
        return tuple(agent for agent in self.agents if agent in present)

    def budget(self, task: str) -> int:
        """Return the steps that all runs on a task have: scores are those of the last evaluation up to there."""
        return min(entry.run.steps for entry in self.entries if entry.task == task)


def read_comparison(
    run_folders: Iterable[Path],
    *,
    labels: Mapping[Path, str] | None = None,
    thresholds: Mapping[str, float] | None = None,
    references: Mapping[str, Mapping[str, float]] | None = None,
    notes: Sequence[str] = (),
) -> Comparison:
    """Read finished runs and put them side by side, in the order in which they are given.

    A folder that holds no run that can be compared is left out and named, not fatal, unless none is left.

    Args:
        run_folders: Folders as `tengen train` writes them.
        labels: Names of agents by folder, where they are not to be named by what they are.
        thresholds: By environment the score that counts as solved, instead of what is known of it.
        references: By environment further scores by name, such as {"optimal": 0.74}.
        notes: What the caller has to say, before the comparison's own notes.

    Raises:
        UserError: No run is left.
    """
    folders = list(dict.fromkeys(Path(folder) for folder in run_folders))
    given = {Path(folder): label for folder, label in (labels or {}).items()}
    runs: list[FinishedRun] = []
    left_out: list[LeftOut] = []
    for folder in folders:
        try:
            runs.append(read_run(folder))
        except UserError as error:
            left_out.append(LeftOut(folder, str(error)))
    if not runs:
        reasons = "; ".join(f"{out.folder}: {out.reason}" for out in left_out[:3])
        raise UserError(f"there is no finished run to compare{': ' + reasons if reasons else ''}")
    tasks = _tasks(runs, thresholds or {}, references or {})
    entries = _labelled(runs, tasks, given)
    entries, doubles = _without_doubles(entries)
    comparison = Comparison(
        tasks=tuple({task.name: task for task in tasks.values()}.values()),
        agents=tuple(dict.fromkeys(entry.agent for entry in entries)),
        entries=tuple(entries),
        left_out=(*left_out, *doubles),
    )
    return replace(comparison, notes=(*notes, *comparison_notes(comparison)))


# --- Tasks ---


def _tasks(
    runs: Sequence[FinishedRun],
    thresholds: Mapping[str, float],
    references: Mapping[str, Mapping[str, float]],
) -> dict[Path, Task]:
    """Return the task of each run, by its folder."""
    by_key: dict[str, list[FinishedRun]] = {}
    for run in runs:
        by_key.setdefault(setting_key([run.env, task_settings(run), run.protocol]), []).append(run)
    names = _task_names([members[0] for members in by_key.values()])
    found: dict[Path, Task] = {}
    for name, members in zip(names, by_key.values(), strict=True):
        first = members[0]
        table = score_table_name(first.env)
        known = dict(score_table(table)["scores"][first.env]) if table else {}
        threshold, source = _threshold(first.env, thresholds, known)
        task = Task(
            name=name,
            env=first.env,
            settings=task_settings(first),
            protocol=first.protocol,
            threshold=threshold,
            threshold_source=source,
            references={**known, **references.get(first.env, {})},
            score_table=table,
        )
        found |= {run.folder: task for run in members}
    return found


def _task_names(firsts: Sequence[FinishedRun]) -> list[str]:
    """Return a name for each task: its environment, and as much more as tells it from the others."""
    names = []
    for run in firsts:
        others = [other for other in firsts if other.env == run.env and other is not run]
        parts = [run.env]
        if any(other.protocol != run.protocol for other in others):
            parts.append(f"protocol {run.protocol_name or 'none'}")
        mine = task_settings(run)
        differing = sorted({name for other in others for name in differing_names([mine, task_settings(other)])})
        parts += [f"{name.removeprefix('env.')}={short(mine.get(name))}" for name in differing]
        names.append(", ".join(parts))
    return [name if names.count(name) == 1 else f"{name} #{k + 1}" for k, name in enumerate(names)]


def _threshold(env: str, given: Mapping[str, float], known: Mapping[str, float]) -> tuple[float | None, str]:
    """Return the score that counts as solved, and who says so."""
    if env in given:
        return float(given[env]), "as given"
    if "human" in known:
        return float(known["human"]), "a human tester"
    import gymnasium  # half a second, only where nothing else is known

    spec = gymnasium.registry.get(env)
    if spec is not None and spec.reward_threshold is not None:
        return float(spec.reward_threshold), "the environment's own"
    return None, ""


# --- Agents ---


def _labelled(runs: Sequence[FinishedRun], tasks: Mapping[Path, Task], given: Mapping[Path, str]) -> list[Entry]:
    groups: dict[tuple[str, str], dict[str, list[FinishedRun]]] = {}
    for run in runs:
        variants = groups.setdefault((tasks[run.folder].name, run.agent), {})
        variants.setdefault(setting_key(agent_settings(run)), []).append(run)
    label: dict[Path, str] = {}
    for (_, agent), variants in groups.items():
        names = _variant_names(agent, [agent_settings(members[0]) for members in variants.values()])
        for name, members in zip(names, variants.values(), strict=True):
            label |= {run.folder: given.get(run.folder, name) for run in members}
    return [Entry(tasks[run.folder].name, label[run.folder], run) for run in runs]


def _variant_names(agent: str, variants: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a name for each of an agent's variants: the agent's, and the settings in which they differ."""
    if len(variants) == 1:
        return [agent]
    differing = differing_names(variants)
    names = []
    for settings in variants:
        terms = [f"{name.removeprefix('agent.')}={short(settings.get(name))}" for name in differing[:_FEW]]
        names.append(f"{agent} ({', '.join(terms)}{', ...' if len(differing) > _FEW else ''})")
    return [name if names.count(name) == 1 else f"{name} #{k + 1}" for k, name in enumerate(names)]


def _without_doubles(entries: Sequence[Entry]) -> tuple[list[Entry], list[LeftOut]]:
    """Keep the first of several runs of an agent with the same seed: they are the same run, not more evidence."""
    kept: dict[tuple[str, str, int], Entry] = {}
    doubles = []
    for entry in entries:
        first = kept.setdefault((entry.task, entry.agent, entry.run.seed), entry)
        if first is not entry:
            doubles.append(
                LeftOut(
                    entry.run.folder,
                    f"{first.run.folder} already is {entry.agent} on {entry.task} with seed {entry.run.seed}",
                )
            )
    return list(kept.values()), doubles
