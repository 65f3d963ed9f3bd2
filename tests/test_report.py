from __future__ import annotations

import csv
import html.parser
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser
from comparison_helpers import PROTOCOL, learning_curve, write_run
from PIL import Image

from tengen.errors import UserError
from tengen.evaluation.comparison import read_comparison
from tengen.evaluation.report import write_report
from tengen.evaluation.report.films import MOST_BYTES, Film
from tengen.evaluation.report.page.elements import Markup, data, tag
from tengen.evaluation.report.picture import short_steps
from tengen.evaluation.report.words import duration, interval

EVIL = """</script><img src=x onerror=boom()>|`$x_$"'&=1"""
COMMAND = ["tengen", "compare", "--env", "CartPole-v1", "--agents", "dqn", EVIL]
FILES = ["curves.csv", "curves.png", "pairs.csv", "report.html", "results.json", "runs.csv", "scores.csv", "table.md"]


def some_runs(folder: Path, points: int = 12) -> list[Path]:
    """Three agents, of which one has a name that tries everything, and one run that is damaged."""
    rng = np.random.default_rng(0)
    folders = []
    for k, (agent, final) in enumerate((("dqn", 480.0), (EVIL, 400.0), ("random", 20.0))):
        for seed in range(5):
            scores = learning_curve(rng, points, final - 10 * seed, 20)
            config = {"gamma": 0.99, "learning_rate": 0.001 * (k + 1)}
            folders.append(write_run(folder / f"{k}-{seed}", agent, seed, scores, agent_config=config, film=k == 0))
    (folders[4] / "metrics.jsonl").write_text("{\n{}\n")
    return folders


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report that was written once for all tests that only read it."""
    folder = tmp_path_factory.mktemp("comparison")
    comparison = read_comparison(some_runs(folder / "runs"))
    write_report(comparison, folder / "out", command=COMMAND, resamples=500)
    return folder / "out"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two Atari games under a protocol, six agents."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("many")
    runs = []
    for env, high in (("ALE/Breakout-v5", 30), ("ALE/Pong-v5", 18)):
        for k in range(6):
            for seed in (0, 1):
                scores = learning_curve(rng, 6, high * (k + 1) / 6, 1)
                place = folder / f"{env.replace('/', '-')}-{k}-{seed}"
                runs.append(write_run(place, f"agent{k}", seed, scores, env=env, protocol=PROTOCOL))
    write_report(read_comparison(runs), folder / "out", resamples=200)
    return folder / "out"


# --- Files ---


def test_everything_is_written_and_nothing_else(out: Path) -> None:
    assert sorted(path.name for path in out.iterdir()) == FILES


def test_results_are_strict_json_with_a_schema_and_the_command(out: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    found = json.loads((out / "results.json").read_text("utf-8"), parse_constant=refuse)
    assert found["schema"] == "tengen.comparison/1"
    assert found["command"] == COMMAND
    assert [len(agent["runs"]) for agent in found["tasks"][0]["agents"]] == [4, 5, 5]
    assert len(found["verdicts"]) == 3


def test_an_infinite_setting_is_null_in_the_results(tmp_path: Path) -> None:
    ours = write_run(tmp_path / "a", "dqn", agent_config={"clip": float("inf")})
    theirs = write_run(tmp_path / "b", "sb3:dqn", agent_config={"clip": 10})
    write_report(read_comparison([ours, theirs]), tmp_path / "out", resamples=50)
    found = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    assert found["tasks"][0]["settings_differences"]["agent.clip"] == {"dqn": None, "sb3:dqn": 10}


def test_tables_of_a_spreadsheet_have_a_row_for_each_run_pair_and_point(out: Path) -> None:
    def rows(name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO((out / name).read_text("utf-8"))))

    assert [row["seed"] for row in rows("runs.csv")] == [*"0123", *"01234", *"01234"]
    assert [row["agent"] for row in rows("scores.csv")] == ["dqn", EVIL, "random"]
    assert len(rows("pairs.csv")) == 3
    assert len(rows("curves.csv")) == 3 * 12
    assert {row["task"] for row in rows("curves.csv")} == {"CartPole-v1"}


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    write_report(read_comparison([run], labels={run: "=1+1"}), tmp_path / "out", resamples=50)
    assert ",'=1+1," in (tmp_path / "out" / "scores.csv").read_text()


def test_the_markdown_can_stand_in_a_readme(out: Path) -> None:
    text = (out / "table.md").read_text("utf-8")
    assert text.startswith("## What the evidence says\n\n- ")
    assert "dqn beats random: mean final return" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table}
    assert columns == {9}, table  # a name with a bar in it does not make a column
    assert "| 5 | " in table[-1]
    assert "is left out" in text
    assert "<img" not in text.partition("Made by:")[0].replace("\\<img", "")  # in the command it is code


def test_the_picture_is_a_picture(out: Path) -> None:
    with Image.open(out / "curves.png") as picture:
        assert picture.format == "PNG"
        assert np.asarray(picture.convert("RGB")).std() > 5


def test_a_report_is_written_again_in_place_with_the_same_bytes(tmp_path: Path) -> None:
    comparison = read_comparison(some_runs(tmp_path / "runs", 5))
    contents = []
    for _ in range(2):
        write_report(comparison, tmp_path / "out", resamples=100)
        contents.append({path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()})
    assert contents[0] == contents[1]


def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"the report can't be written to .*file/out"):
        write_report(read_comparison([write_run(tmp_path / "run")]), tmp_path / "file" / "out", resamples=50)


# --- The page, as text ---


class Page(html.parser.HTMLParser):
    """Collects what a page holds."""

    VOID = frozenset({"img", "input", "link", "meta", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words += data


def test_every_element_of_the_page_is_closed_and_every_name_is_text(out: Path) -> None:
    page = Page((out / "report.html").read_text("utf-8"))
    assert page.open == []
    assert EVIL in page.words
    assert not [attributes for _, attributes in page.tags if "onerror" in attributes]
    assert sorted(name for name, _ in page.tags if name == "script") == ["script", "script"]


def test_the_page_refers_to_nothing_outside_itself(out: Path, many: Path) -> None:
    for folder in (out, many):
        text = (folder / "report.html").read_text("utf-8")
        assert not re.search(r"https?:|//[a-z]|@import|url\(", text.replace("// Draws", "").replace("  // ", ""), re.I)
        for _, attributes in Page(text).tags:
            for name in ("src", "href", "action", "poster"):
                value = attributes.get(name) or ""
                assert value == "" or value.startswith(("data:", "#")), value


def test_the_page_forbids_its_own_requests(out: Path) -> None:
    policy = [a["content"] for _, a in Page((out / "report.html").read_text("utf-8")).tags if "http-equiv" in a]
    assert policy[0] is not None
    assert policy[0].startswith("default-src 'none'; ")


def test_the_page_says_verdicts_notes_settings_versions_and_the_command(out: Path) -> None:
    words = Page((out / "report.html").read_text("utf-8")).words
    found = json.loads((out / "results.json").read_text("utf-8"))
    for pair in found["tasks"][0]["pairs"]:
        assert pair["words"][0] + "." in words
    assert "metrics.jsonl is damaged" in words
    assert "has no run with seed 4" in words
    assert "agent.learning_rate" in words
    assert "3.11.7" in words
    assert "tengen compare --env CartPole-v1 --agents dqn" in words


def test_settings_with_different_values_are_apart_from_those_that_one_agent_has(tmp_path: Path) -> None:
    ours = write_run(tmp_path / "a", "dqn", agent_config={"learning_rate": 0.1, "double": True})
    theirs = write_run(tmp_path / "b", "sb3:dqn", agent_config={"learning_rate": 0.2})
    write_report(read_comparison([ours, theirs]), tmp_path / "out", resamples=50)
    words = Page((tmp_path / "out" / "report.html").read_text("utf-8")).words
    assert (
        "1 setting with different values; a dash: no such setting.settingdqnsb3:dqnagent.learning_rate0.10.2" in words
    )
    assert (
        "1 setting that only some agents have; a dash: no such setting.settingdqnsb3:dqnagent.doubleyes\N{EN DASH}"
        in words
    )


def test_every_control_has_a_name_and_every_picture_words(out: Path) -> None:
    page = Page((out / "report.html").read_text("utf-8"))
    labelled = {attributes.get("for") for name, attributes in page.tags if name == "label"}
    for name, attributes in page.tags:
        if name == "img":
            assert attributes.get("alt")
        if name == "input" and attributes["type"] == "radio":
            assert attributes["id"] in labelled
        if attributes.get("role") == "region":
            assert attributes.get("aria-label")
    assert ("html", {"lang": "en"}) in page.tags


def test_the_protocol_of_a_task_is_on_the_page(many: Path) -> None:
    words = Page((many / "report.html").read_text("utf-8")).words
    assert "protocol nature2015" in words
    assert "sticky_action_probability" in words


def test_many_pairs_are_folded_where_they_separate_nothing(many: Path) -> None:
    text = (many / "report.html").read_text("utf-8")
    assert re.search(r"<summary>\d+ pairs that the evidence does not separate</summary>", text)


def test_text_is_escaped_unless_it_is_markup() -> None:
    assert tag("p", "<b>", Markup("<i></i>"), [1, None], title='"') == '<p title="&quot;">&lt;b&gt;<i></i>1</p>'
    assert tag("input", checked=True, hidden=False, aria_label="x") == '<input checked aria-label="x">'
    assert "</script" not in data({"name": "</script><!--"}).removesuffix("</script>")
    assert json.loads(
        data({"a": "<&>"}).removeprefix('<script type="application/json">').removesuffix("</script>")
    ) == {"a": "<&>"}


def test_numbers_are_said_as_a_reader_likes_them() -> None:
    assert interval([1.5, None, "Infinity"]) == "1.50 (\N{EN DASH} to never)"
    assert [duration(s) for s in (None, 9.14, 300, 600, 36_000)] == [
        "\N{EN DASH}",
        "9.1 s",
        "5.0 min",
        "10 min",
        "10.0 h",
    ]
    assert [short_steps(s) for s in (0, 50_000, 1.5e6, 2e9)] == ["0", "50k", "1.5M", "2G"]


# --- Films ---


def test_the_film_of_the_median_run_is_in_the_page_and_stands_still(out: Path) -> None:
    (picture,) = [a for name, a in Page((out / "report.html").read_text("utf-8")).tags if name == "img"]
    assert (picture["src"] or "").startswith("data:image/png;base64,")
    assert (picture["data-moving"] or "").startswith("data:image/gif;base64,")
    seed = json.loads((out / "results.json").read_text("utf-8"))["tasks"][0]["agents"][0]["median_seed"]
    assert picture["alt"] == f"An episode of dqn, seed {seed}"


def test_a_film_that_is_too_large_is_named_instead(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    large, gone = tmp_path / "large.mp4", tmp_path / "gone.gif"
    large.write_bytes(b"\0" * (MOST_BYTES + 1))
    small = tmp_path / "small.mp4"
    small.write_bytes(b"\0" * 10)
    films = [Film("CartPole-v1", "dqn", 0, path) for path in (large, gone, small)]
    write_report(read_comparison([run]), tmp_path / "out", films=films, resamples=50)
    page = Page((tmp_path / "out" / "report.html").read_text("utf-8"))
    assert f"too large for the page, see {large}" in page.words
    assert [a["src"] for name, a in page.tags if name == "video"] == ["data:video/mp4;base64,AAAAAAAAAAAAAA=="]


# --- Size ---


def test_a_page_of_60_runs_of_1000_points_stays_under_5_megabytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    runs = [
        write_run(tmp_path / f"{agent}-{seed}", f"agent{agent}", seed, learning_curve(rng, 1_000, 100 + agent, 9))
        for agent in range(6)
        for seed in range(10)
    ]
    write_report(read_comparison(runs), tmp_path / "out", resamples=200)
    assert (tmp_path / "out" / "report.html").stat().st_size < 1_500_000
    assert (
        len(json.loads((tmp_path / "out" / "results.json").read_text())["tasks"][0]["agents"][0]["curve"]["steps"])
        == 1_000
    )


# --- The page, in a browser ---


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as started:
        yield started


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("which", ["out", "many"])
def test_the_page_is_drawn_without_a_complaint_or_a_request(
    browser: Browser, request: pytest.FixtureRequest, which: str, width: int, dark: bool
) -> None:
    page: Path = request.getfixturevalue(which) / "report.html"
    browser.open(page, width=width, dark=dark)
    assert browser.complaints() == []
    assert browser.requests() == [page.resolve().as_uri()]
    assert browser.run("document.documentElement.scrollWidth") <= width  # nothing to scroll sideways
    browser.run("document.querySelectorAll('details').forEach(each => each.open = true)")
    browser.settle()
    plots = "[...document.querySelectorAll('.plot')]"
    charts = browser.run(f"{plots}.map(plot => plot.querySelectorAll('path, rect, circle, line').length)")
    assert min(charts) > 3, charts
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) < 200) == dark


def test_a_page_that_asks_and_fails_is_seen(browser: Browser, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='http://example.invalid/x.png'><script>nothing()</script>")
    browser.open(bad)
    assert "http://example.invalid/x.png" in browser.requests()
    assert any("nothing is not defined" in complaint for complaint in browser.complaints())


def texts(browser: Browser, chart: str) -> list[str]:
    found: list[str] = browser.run(
        f"[...document.querySelectorAll('[data-chart={chart}] text')].map(t => t.textContent)"
    )
    return found


def test_curves_run_over_steps_or_over_time(browser: Browser, out: Path) -> None:
    browser.open(out / "report.html")
    assert "steps" in texts(browser, "curve")
    browser.run("document.getElementById('time-0').click()")
    browser.settle()
    assert "time on the machine that ran it" in texts(browser, "curve")
    assert any(text.endswith(" s") for text in texts(browser, "curve"))


def test_each_run_is_drawn_when_asked_for(browser: Browser, out: Path) -> None:
    browser.open(out / "report.html")
    count = "document.querySelectorAll('[data-chart=curve] .seed').length"
    assert browser.run(count) == 0
    browser.run("document.querySelector('input[type=checkbox]').click()")
    assert browser.run(count) == 14


def test_an_agent_can_be_hidden_in_all_charts(browser: Browser, out: Path) -> None:
    browser.open(out / "report.html")
    assert browser.run("document.querySelectorAll('[data-chart=dots] .dot').length") == 14
    browser.run("document.querySelectorAll('.legend button')[1].click()")
    assert browser.run("document.querySelectorAll('[data-chart=dots] .dot').length") == 9
    assert browser.run("document.querySelectorAll('[data-chart=curve] .mean').length") == 2
    assert browser.run("document.querySelectorAll('.legend button')[1].getAttribute('aria-pressed')") == "false"
    for place in (0, 2):
        browser.run(f"document.querySelectorAll('.legend button')[{place}].click()")
    assert "Nothing is chosen in the legend." in texts(browser, "curve")
    assert browser.complaints() == []


def test_the_chart_is_read_out_by_the_keyboard(browser: Browser, out: Path) -> None:
    browser.open(out / "report.html")
    browser.run("document.querySelector('[data-chart=curve] svg').focus()")
    said = "document.querySelector('[data-chart=curve] .tip').textContent"
    assert browser.run(said).startswith("step 12,000dqn: ")
    browser.press("ArrowLeft")
    assert browser.run(said).startswith("step 11,000dqn: ")
    assert EVIL in browser.run(said)


def test_the_theme_is_switched_by_the_keyboard(browser: Browser, out: Path) -> None:
    browser.open(out / "report.html", dark=False)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = browser.run(ground)
    browser.press("Tab")  # the link that skips
    browser.press("Tab")
    assert browser.run("document.activeElement.id") == "theme"
    browser.press("Enter")
    assert browser.run(ground) != light
    assert browser.run("document.activeElement.textContent") == "Light"


def test_a_film_moves_when_asked_to_and_stops(browser: Browser, out: Path) -> None:
    browser.open(out / "report.html")
    kind = "document.querySelector('.films img').src.slice(0, 14)"
    assert browser.run(kind) == "data:image/png"
    browser.run("document.querySelector('.films button').click()")
    assert browser.run(kind) == "data:image/gif"
    browser.run("document.querySelector('.films button').click()")
    assert browser.run(kind) == "data:image/png"


def test_text_can_be_read_against_its_ground(browser: Browser, out: Path) -> None:
    # Contrast by WCAG 2: 4.5 for text.
    script = """(() => {
        const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
        const light = c => {
            const [r, g, b] = c.match(/[\\d.]+/g).map(v => linear(v / 255));
            return .2126 * r + .7152 * g + .0722 * b; };
        const probe = document.createElement('span'); document.querySelector('section').append(probe);
        const found = {};
        for (const name of ['ink', 'soft', 'accent', 'good', 'c0', 'c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7']) {
            probe.style.color = `var(--${name})`;
            const a = light(getComputedStyle(probe).color);
            const b = light(getComputedStyle(probe.parentElement).backgroundColor);
            found[name] = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        }
        return found; })()"""
    for dark in (False, True):
        browser.open(out / "report.html", dark=dark)
        contrast: dict[str, Any] = browser.run(script)
        assert min(contrast.values()) >= 4.5, contrast


def test_without_a_script_tables_hold_the_numbers(out: Path) -> None:
    words = Page((out / "report.html").read_text("utf-8")).words
    assert "The chart needs a script; the tables hold its numbers." in words
    assert "12,000" in words
