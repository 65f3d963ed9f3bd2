"""A comparison as a W&B Report, as W&B's own library writes it: which runs, which charts, which words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from comparison_helpers import write_run

from tengen.config import TrackConfig
from tengen.errors import UserError
from tengen.evaluation.comparison import read_comparison, results
from tengen.evaluation.report import wandb_report, wandb_summary
from tengen.evaluation.report.wandb_report import make_report, report_blocks

wr = pytest.importorskip("wandb_workspaces.reports.v2", reason="needs tengen[wandb-report]")

INTERFACE = "wandb_workspaces.reports.v2.interface"


@pytest.fixture
def found(tmp_path: Path) -> dict[str, Any]:
    """A comparison of two agents with two runs each, whose first ones are known to W&B."""
    for agent, level in (("dqn", 20.0), ("ppo|x", 10.0)):
        for seed in (0, 1):
            folder = write_run(
                tmp_path / f"{agent}{seed}",
                agent,
                seed,
                (level, level + seed, 2 * level + seed),
                agent_config={"gamma": 0.9 if agent == "dqn" else 0.99},
                times=(1.0, 2.0, 3.0),
            )
            if seed == 0:
                (folder / "wandb.json").write_text(json.dumps({"id": f"id-of-{agent[:3]}"}))
    comparison = read_comparison(sorted(tmp_path.iterdir()))
    return {**results(comparison, resamples=50), "command": ["tengen", "compare", "--runs", "my runs"]}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    """What the server is asked for; it answers that each project is there but `missing`."""
    questions: list[Mapping[str, Any]] = []

    def answer(api: object, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        questions.append(variables)
        return {"project": None if variables["projectName"] == "missing" else {"internalId": "internal"}}

    monkeypatch.setattr(f"{INTERFACE}.execute_graphql", answer)
    monkeypatch.setattr(f"{INTERFACE}._get_api", lambda: None)
    return questions


def specs(found: dict[str, Any], summary_id: str | None = "sum") -> list[dict[str, Any]]:
    """Return the blocks as they are sent."""
    blocks = report_blocks(found, summary_id, "team", "project")
    return [block._to_model().model_dump(by_alias=True, mode="json") for block in blocks]


def grids(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [block["metadata"] for block in blocks if block["type"] == "panel-grid"]


def ids_in(runset: dict[str, Any]) -> list[str]:
    (condition,) = runset["filters"]["filters"]
    assert condition["key"] == {"section": "run", "name": "name"}
    assert condition["op"] == "IN"
    return list(condition["value"])


def test_each_agent_is_a_set_of_just_its_own_runs_that_were_logged(
    found: dict[str, Any], asked: list[Mapping[str, Any]]
) -> None:
    curves, summary = grids(specs(found))
    assert [(runset["name"], ids_in(runset)) for runset in curves["runSets"]] == [
        ("dqn (1 runs)", ["id-of-dqn"]),
        ("ppo|x (1 runs)", ["id-of-ppo"]),
    ]
    assert [ids_in(runset) for runset in summary["runSets"]] == [["sum"]]
    assert {question["projectName"] for question in asked} == {"project"}


def test_evaluations_are_drawn_over_steps_and_over_time_without_smoothing(
    found: dict[str, Any], asked: list[Mapping[str, Any]]
) -> None:
    charts = [panel["config"] for panel in grids(specs(found))[0]["panelBankSectionConfig"]["panels"]]
    assert [(chart["xAxis"], chart["metrics"]) for chart in charts] == [
        ("global_step", ["eval/return_mean"]),
        ("time", ["eval/return_mean"]),
        ("global_step", ["charts/episodic_return"]),
    ]
    assert {(chart["groupAgg"], chart["groupArea"], chart["smoothingType"]) for chart in charts} == {
        ("mean", "minmax", "none")
    }


def test_the_words_are_those_of_the_comparison(found: dict[str, Any], asked: list[Mapping[str, Any]]) -> None:
    text = "\n".join(block["content"] for block in specs(found) if block["type"] == "markdown-block")
    assert "The evidence does not separate dqn from ppo\\|x" in text
    assert "| ppo\\|x | 2 | 20.5 (20 to 21) |" in text
    assert "| agent.gamma | 0.9 | 0.99 |" in text
    (code,) = [block for block in specs(found) if block["type"] == "code-block"]
    assert "tengen compare --runs 'my runs'" in json.dumps(code)


def test_a_comparison_that_was_not_logged_has_no_panels_of_its_own_run(
    found: dict[str, Any], asked: list[Mapping[str, Any]]
) -> None:
    assert len(grids(specs(found, summary_id=None))) == 1


def test_a_report_is_remembered_by_what_it_tells(
    found: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = []

    def save(self: Any) -> None:
        saved.append(self)
        self.id = f"id{len(saved)}"

    monkeypatch.setattr(wr.Report, "save", save)
    monkeypatch.setattr(wr.Report, "url", property(lambda self: f"https://w/{self.id}"))
    track = TrackConfig(to="wandb", entity="team")
    assert make_report(found, tmp_path / "mine", tmp_path, track) == "https://w/id1"
    assert make_report(found, tmp_path / "mine", tmp_path, track) == "https://w/id1"
    assert make_report({**found, "notes": ["Another."]}, tmp_path / "mine", tmp_path, track) == "https://w/id2"
    assert [report.title for report in saved] == ["mine: dqn, ppo|x"] * 2
    other_command = {**found, "notes": ["Another."], "command": ["tengen", "compare", "--jobs", "1"]}
    assert make_report(other_command, tmp_path / "mine", tmp_path, track) == "https://w/id2"
    (tmp_path / wandb_report.MARK).write_text("{")
    assert make_report(found, tmp_path / "mine", tmp_path, track) == "https://w/id3"


def test_without_the_project_the_runs_have_to_be_uploaded_first(
    found: dict[str, Any], tmp_path: Path, asked: list[Mapping[str, Any]]
) -> None:
    with pytest.raises(UserError, match="no project team/missing yet: upload the runs first"):
        make_report(found, tmp_path, tmp_path, TrackConfig(to="wandb", entity="team", project="missing"))
    assert not (tmp_path / wandb_report.MARK).exists()


@pytest.mark.parametrize(
    ("installed", "uploaded", "reason", "said"),
    [
        (False, True, None, "no W&B Report: pip install 'tengen[wandb-report]', then the same command makes it"),
        (True, False, None, "no W&B Report yet: once the runs are uploaded, the same command makes it"),
        (True, True, "no key", "no W&B Report (no key): the same command makes it once W&B can be reached"),
        (True, True, None, "W&B Report: https://w/id"),
    ],
)
def test_one_line_says_what_becomes_of_the_report(
    installed: bool, uploaded: bool, reason: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb_report, "is_installed", lambda: installed)
    monkeypatch.setattr(wandb_report, "make_report", lambda *args: "https://w/id")
    monkeypatch.setattr(wandb_summary, "why_unreachable", lambda track: reason)
    lines: list[str] = []
    wandb_summary.report_or_say_why_not({}, tmp_path, TrackConfig(to="wandb"), lines.append, uploaded=uploaded)
    assert lines == [said]
