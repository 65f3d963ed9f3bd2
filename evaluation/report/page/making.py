"""The page's last sections: how the comparison was made, and what its words mean."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from tengen.evaluation.report.page.elements import Markup, table, tag
from tengen.evaluation.report.page.pieces import folded


def making(found: Mapping[str, Any]) -> Markup:
    """Return the section that tells the commands and the versions."""
    parts: list[Any] = [tag("h2", "How this was made")]
    if found.get("command"):
        parts += [
            tag("p", "The command that makes it again:"),
            tag("pre", tag("code", shlex.join(found["command"]), id="command"), tabindex="0", aria_label="Command"),
            tag("button", "Copy", type="button", data_copy="command", hidden=True),
        ]
    commands = [
        [f"{task['name']}, {agent['name']}, seed {run['seed']}", tag("code", shlex.join(run["command"]))]
        for task in found["tasks"]
        for agent in task["agents"]
        for run in agent["runs"]
        if run["command"]
    ]
    if commands:
        parts.append(
            folded(
                "Each run's own command",
                table(["run", "command"], commands, caption="As it was started.", kind="wide"),
            )
        )
    versions: dict[str, list[str]] = {}
    for task in found["tasks"]:
        for name, values in task["versions"].items():
            versions[name] = list(dict.fromkeys([*versions.get(name, []), *values]))
    terms = [(tag("dt", name), tag("dd", ", ".join(values))) for name, values in versions.items()]
    parts += [tag("h3", "Versions"), tag("dl", terms)] if terms else []
    return tag("section", parts)


def methods(found: Mapping[str, Any]) -> Markup:
    """Return the section that defines every word that the page uses."""
    items = [(tag("dt", name), tag("dd", text)) for name, text in _words(found).items()]
    source = tag(
        "p",
        "After Agarwal, Schwarzer, Castro, Courville and Bellemare (2021), Deep Reinforcement Learning at the Edge of "
        "the Statistical Precipice, arXiv:2108.13264.",
        class_="soft",
    )
    return tag("section", tag("h2", "What the words mean"), tag("dl", items), source)


def _words(found: Mapping[str, Any]) -> dict[str, str]:
    return {
        "score": "The mean return of the last evaluation: whole episodes, the same ones for all agents with one seed, "
        "played by what the agent has learnt.",
        "interval": f"{found['confidence']:.0%} percentiles of {found['resamples']:,} bootstrap resamples of the runs, "
        "task by task (of pairs 10,000, of curves and profiles 2,000). Too narrow with few runs.",
        "IQM": "Interquartile mean: the mean of the middle half of all runs. With fewer than 4 runs it is the mean.",
        "optimality gap": "By how much normalised scores fall short of 1 on average; what lies above 1 does not count.",
        "P(first is better)": "The chance that a run of the first agent scores more than one of the second; ties count "
        "a half.",
        "separated": f"A permutation test of the means gives p below {found['level']:.2g} after Holm's correction for "
        "the number of pairs, and the interval of the difference leaves out zero.",
        "seed by seed": "Differences of runs with the same seed, tested by turning their signs. Five seeds never come "
        "below p = 0.0625.",
        "reached": "The first evaluation at or above the threshold. The median is Kaplan and Meier's, in which runs "
        "that never got there count as longer.",
        "time": "Training and its evaluations, on the machine that ran them, which runs may have shared. What a killed "
        "session lost is not counted. A curve over time ends where the agent's fastest run ends.",
    }
