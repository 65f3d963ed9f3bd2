"""`tengen compare --track wandb` with the real client: offline, and synced to a stub on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from wandb_helpers import isolated, mirrored, truth
from wandb_stub import KEY, WandbStub

COMPARE = [
    *("compare", "--env", "CartPole-v1", "--steps", "600", "--eval-episodes", "2", "--jobs", "2"),
    *("--no-presets", "--device", "cpu"),
]
TWO_BY_TWO = ("--agents", "random", "sb3:a2c", "--seeds", "2")


class ArtifactStub(WandbStub):
    """A stub that takes artifacts as well, which tables are logged as, and Reports."""

    def __init__(self) -> None:
        super().__init__()
        self.reports: list[dict[str, Any]] = []  # the variables of each that was saved

    def answer(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        upload = f"{self.url}/put/{next(iter(self.runs), 'none')}"
        artifact = {"id": "artifact", "state": "PENDING", "digest": "d", "artifactSequence": {"id": "sequence"}}
        if operation == "CreateArtifact":
            return {"createArtifact": {"artifact": artifact}}
        if operation == "CommitArtifact":
            return {"commitArtifact": {"artifact": artifact}}
        if operation == "CreateArtifactManifest":
            file = {"id": "file", "name": "manifest", "uploadUrl": f"{upload}/manifest", "uploadHeaders": []}
            return {"createArtifactManifest": {"artifactManifest": {"id": "manifest", "file": file}}}
        if operation == "CreateArtifactFiles":
            nodes = [
                {
                    "id": str(k),
                    "name": file["name"],
                    "storagePath": file["name"],
                    "uploadUrl": f"{upload}/artifact/{file['name']}",
                    "uploadHeaders": [],
                    "artifact": {"id": "artifact"},
                }
                for k, file in enumerate(variables["input"]["artifactFiles"])
            ]
            return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}
        if operation == "GetDefaultEntity":
            return {"viewer": {"id": "user", "entity": "nobody"}}
        if operation == "ProjectInternalId":
            known = {run.variables.get("project", run.variables.get("projectName")) for run in self.runs.values()}
            name = variables["projectName"]
            return {"project": {"id": name, "internalId": name} if name in known else None}
        if operation == "GetProjects":
            return {"models": {"edges": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}}
        if operation == "upsertView":
            self.reports.append(variables)
            place = {"id": "p", "name": variables["projectName"], "entityName": variables["entityName"]}
            names = ("name", "displayName", "description", "spec", "type")
            view = {**{name: variables[name] for name in names}, "project": place, "updatedAt": "2026-01-01T00:00:00"}
            return {"upsertView": {"view": {"id": f"report{len(self.reports)}", **view}, "inserted": True}}
        return super().answer(operation, variables)


def run(module: str, *arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=env["HOME"],
        env=env,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


def records(segment: Path, env: dict[str, str]) -> list[dict[str, Any]]:
    lines = run("wandb", "leet", "inspect", "--json", str(segment), env=env).stdout.splitlines()
    return [json.loads(line) for line in lines]


def history(segment: Path, env: dict[str, str]) -> list[dict[str, Any]]:
    return [record["history"]["item"] for record in records(segment, env) if record["type"] == "history"]


@pytest.mark.slow
def test_a_comparison_offline_is_one_group_whose_rows_are_the_runs_own_and_arrive_when_synced(tmp_path: Path) -> None:
    env = isolated(tmp_path / "home")
    out = tmp_path / "out"
    done = run("tengen.cli", *COMPARE, *TWO_BY_TWO, "--out", str(out), "--track", "wandb", env=env)
    assert "wandb sync $(find" in done.stderr
    folders = sorted(path.parent for path in out.glob("runs/*/*/*/config.json"))
    assert len(folders) == 4
    for folder in folders:
        (segment,) = folder.glob("wandb/offline-run-*")
        assert mirrored(history(segment, env)) == truth(folder)
    (summary,) = out.glob("summary/wandb/offline-run-*")

    with ArtifactStub() as server:
        online = env | {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "WANDB_ERROR_REPORTING": "false"}
        segments = [str(path) for path in sorted(out.rglob("offline-run-*")) if path.is_dir()]
        assert len(segments) == 5
        run("wandb", "sync", *segments, env=online)
        stored = list(server.runs.values())
    assert {stored_run.variables["groupName"] for stored_run in stored} == {"out"}
    kinds = sorted(stored_run.variables["jobType"] for stored_run in stored)
    assert kinds == ["comparison", "train", "train", "train", "train"]
    by_name = {stored_run.variables["displayName"]: stored_run for stored_run in stored}
    for folder in folders:
        agent = folder.parent.name.replace("sb3-", "sb3:")
        arrived = by_name[f"{agent}-CartPole-v1-{folder.name.replace('_', '')}"]
        assert mirrored(arrived.history) == truth(folder)
        assert arrived.variables["tags"] == [agent, "CartPole-v1"]
    whole = by_name["out summary"]
    assert any("curves/sb3:a2c" in row for row in whole.history)
    assert any("comparison/scores" in row for row in whole.history)
    assert any(name.startswith("media/table/comparison") for name in whole.files)
    assert summary.is_dir()


@pytest.mark.slow
def test_a_report_is_made_once_when_the_runs_are_uploaded(tmp_path: Path) -> None:
    pytest.importorskip("wandb_workspaces", reason="needs tengen[wandb-report]")
    env = isolated(tmp_path / "home")
    out = tmp_path / "out"
    command = ["tengen.cli", *COMPARE, "--agents", "random", "--seeds", "2", "--no-film", "--track", "wandb"]
    command += ["--out", str(out)]
    offline = run(*command, env=env).stderr
    assert "no W&B Report yet: once the runs are uploaded, the same command makes it" in offline
    with ArtifactStub() as server:
        online = env | {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY}
        segments = [str(path) for path in sorted(out.rglob("offline-run-*")) if path.is_dir()]
        run("wandb", "sync", *segments, env=online)
        done = run(*command, env=online).stderr
        assert "W&B is offline" not in done
        (report,) = server.reports
        assert f"W&B Report: {server.url}/nobody/tengen/reports/out:-random--report1" in done
        again = run(*command, env=online).stderr
        assert "--report1" in again
        assert len(server.reports) == 1, "the same results make no second Report"
        ids = {path.name: json.loads((path / "wandb.json").read_text())["id"] for path in out.glob("runs/*/*/*")}
        assert set(ids.values()) < set(server.runs)
        assert all(own in report["spec"] for own in ids.values())


@pytest.mark.slow
def test_runs_that_were_trained_without_wandb_are_logged_when_it_is_asked_for(tmp_path: Path) -> None:
    env = isolated(tmp_path / "home")
    out = tmp_path / "out"
    random = ["--agents", "random", "--seeds", "1", "--no-film", "--out", str(out)]
    run("tengen.cli", *COMPARE, *random, env=env)
    assert not list(out.rglob("offline-run-*"))
    run("tengen.cli", *COMPARE, *random, "--track", "wandb", env=env)
    (folder,) = out.glob("runs/*/*/*")
    (segment,) = folder.glob("wandb/offline-run-*")
    assert mirrored(history(segment, env)) == truth(folder)
    before = sorted(out.rglob("offline-run-*"))
    run("tengen.cli", *COMPARE, *random, "--track", "wandb", env=env)
    assert sorted(out.rglob("offline-run-*")) == before, "nothing is logged twice"
