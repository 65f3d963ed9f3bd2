// Draws the charts of a comparison from the JSON in the page, to the width that there is. Asks no network for anything.
"use strict";

(() => {
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("data").textContent);
  const NS = document.querySelector("svg").namespaceURI;
  const DASHES = ["", "7 4", "2 4", "10 4 2 4"];
  const hidden = new Set(); // agents by their place in data.agents
  const charts = [];

  // --- Theme ---

  const button = document.getElementById("theme");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const label = () => {
    button.textContent = dark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to the ${dark() ? "light" : "dark"} theme`);
  };
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    label();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
  label();
  button.hidden = false;

  // --- Numbers ---

  const short = (value) => {
    const size = Math.abs(value);
    for (const [unit, name] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]])
      if (size >= unit) return `${+(value / unit).toPrecision(4)}${name}`;
    return `${+value.toPrecision(4)}`;
  };
  const score = (value) => {
    const size = Math.abs(value);
    if (size > 0 && size < 0.00995) return `${+value.toPrecision(2)}`;
    const places = size >= 999.5 || Number.isInteger(value) ? 0 : size >= 9.95 ? 1 : size >= 0.995 ? 2 : 3;
    return value.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places });
  };
  const seconds = (value) =>
    value < 100 ? `${+value.toPrecision(3)} s` : value < 6000 ? `${+(value / 60).toPrecision(3)} min` : `${+(value / 3600).toPrecision(3)} h`;
  const percent = (value) => `${Math.round(value * 100)} %`;

  /** Round numbers from low to high, some `count` of them; of seconds, on minutes and hours. */
  const ticks = (low, high, count, unit = 1) => {
    const raw = (high - low) / unit / count || 1;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((k) => k >= raw - 1e-12) * unit;
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(+(k * step).toPrecision(12));
    return found;
  };
  const timeUnit = (span) => (span < 100 ? 1 : span < 6000 ? 60 : 3600);

  // --- SVG ---

  const svg = (name, attributes = {}, text) => {
    const made = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const colour = (agent) => `var(--c${agent % 8})`;
  const dash = (agent) => DASHES[(agent + Math.floor(agent / 8)) % DASHES.length];
  const path = (xs, ys) => xs.map((x, k) => `${k ? "L" : "M"}${x.toFixed(1)} ${ys[k].toFixed(1)}`).join("");

  /** A mark of an agent's own shape, so that colour is never all there is. */
  const mark = (agent, x, y, r, attributes) => {
    const shapes = [
      () => svg("circle", { cx: x, cy: y, r }),
      () => svg("rect", { x: x - r * 0.9, y: y - r * 0.9, width: r * 1.8, height: r * 1.8 }),
      () => svg("path", { d: `M${x} ${y - r * 1.2}L${x + r * 1.15} ${y + r * 0.85}H${x - r * 1.15}Z` }),
      () => svg("path", { d: `M${x} ${y - r * 1.3}L${x + r * 1.3} ${y}L${x} ${y + r * 1.3}L${x - r * 1.3} ${y}Z` }),
      () => svg("path", { d: `M${x} ${y + r * 1.2}L${x + r * 1.15} ${y - r * 0.85}H${x - r * 1.15}Z` }),
    ];
    const made = shapes[agent % shapes.length]();
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  const canvas = (plot, width, height, title) => {
    const made = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
    plot.replaceChildren(made);
    return made;
  };

  // --- Lines over an axis ---

  /** spec: series [{agent, x, y, low, high, seeds: [{x, y}]}], label, format, yFormat, references, unit, fixed. */
  const lineChart = (plot, spec) => {
    const series = spec.series.filter((each) => !hidden.has(each.agent) && each.x.length);
    const width = plot.clientWidth;
    const height = Math.max(230, Math.min(400, width * 0.52));
    const made = canvas(plot, width, height, spec.title);
    if (!series.length) {
      made.append(svg("text", { x: 8, y: 30 }, "Nothing is chosen in the legend."));
      return;
    }
    const named = !spec.fixed && width > 620 && series.length > 1;
    const inset = { left: 50, right: named ? 120 : 14, top: 26, bottom: 40 };
    const lines = series.flatMap((each) => [each, ...(spec.seeds ? each.seeds : [])]).filter((each) => each.x.length);
    const xs = lines.flatMap((each) => [each.x[0], each.x[each.x.length - 1]]);
    let ys = series.flatMap((each) => [...each.low, ...each.high, ...(spec.seeds ? each.seeds.flatMap((seed) => seed.y) : [])]);
    ys = [...ys, ...spec.references.map((each) => each.y)];
    let [x0, x1, y0, y1] = [Math.min(...xs), 0, Infinity, -Infinity];
    for (const x of xs) x1 = Math.max(x1, x);
    for (const y of ys) [y0, y1] = [Math.min(y0, y), Math.max(y1, y)];
    if (spec.fixed) [y0, y1] = spec.fixed;
    else {
      const margin = (y1 - y0) * 0.05 || 1;
      [y0, y1] = [y0 - margin, y1 + margin];
    }
    if (spec.zero) x0 = Math.min(x0, 0);
    if (x1 === x0) x1 = x0 + 1;
    const X = (x) => inset.left + ((x - x0) / (x1 - x0)) * (width - inset.left - inset.right);
    const Y = (y) => height - inset.bottom - ((y - y0) / (y1 - y0)) * (height - inset.top - inset.bottom);

    for (const y of ticks(y0, y1, 5)) {
      made.append(svg("line", { class: "grid", x1: inset.left, x2: width - inset.right, y1: Y(y), y2: Y(y) }));
      made.append(svg("text", { x: inset.left - 8, y: Y(y) + 4, "text-anchor": "end" }, spec.yFormat(y)));
    }
    const bottom = height - inset.bottom;
    const unit = spec.time ? timeUnit(x1) : 1;
    for (const x of ticks(x0, x1, Math.max(2, Math.floor(width / 130)), unit)) {
      made.append(svg("line", { class: "axis", x1: X(x), x2: X(x), y1: bottom, y2: bottom + 5 }));
      made.append(svg("text", { x: X(x), y: bottom + 18, "text-anchor": "middle" }, spec.format(x)));
    }
    made.append(svg("line", { class: "axis", x1: inset.left, x2: width - inset.right, y1: bottom, y2: bottom }));
    made.append(svg("text", { x: (inset.left + width - inset.right) / 2, y: height - 4, "text-anchor": "middle" }, spec.label));
    made.append(svg("text", { x: 4, y: 12 }, spec.up));
    for (const { y, name } of spec.references) {
      made.append(svg("line", { class: "reference", x1: inset.left, x2: width - inset.right, y1: Y(y), y2: Y(y) }));
      made.append(svg("text", { class: "halo", x: inset.left + 6, y: Y(y) - 5 }, name));
    }
    for (const each of series) {
      const xs = each.x.map(X);
      const band = path([...xs, ...[...xs].reverse()], [...each.high.map(Y), ...[...each.low].reverse().map(Y)]);
      made.append(svg("path", { class: "band", d: `${band}Z`, style: `fill:${colour(each.agent)}` }));
    }
    if (spec.seeds)
      for (const each of series)
        for (const seed of each.seeds)
          made.append(svg("path", { class: "seed", d: path(seed.x.map(X), seed.y.map(Y)), style: `stroke:${colour(each.agent)}` }));
    for (const each of series) {
      const style = `stroke:${colour(each.agent)}`;
      made.append(svg("path", { class: "mean", d: path(each.x.map(X), each.y.map(Y)), style, "stroke-dasharray": dash(each.agent) }));
      if (each.x.length === 1) made.append(mark(each.agent, X(each.x[0]), Y(each.y[0]), 5, { style: `fill:${colour(each.agent)}` }));
    }
    if (named) {
      const ends = series.map((each) => ({ agent: each.agent, x: X(each.x[each.x.length - 1]), y: Y(each.y[each.y.length - 1]) }));
      ends.sort((a, b) => a.y - b.y);
      let last = -Infinity;
      for (const end of ends) {
        end.label = Math.max(end.y, last + 15);
        last = end.label;
      }
      const over = last - (bottom - 4);
      for (const end of ends) {
        if (over > 0) end.label -= over;
        const name = data.agents[end.agent];
        const text = svg("text", { x: width - inset.right + 8, y: end.label + 4, style: `fill:${colour(end.agent)};font-weight:600` });
        text.textContent = name.length > 15 ? `${name.slice(0, 14)}\u2026` : name;
        made.append(text);
      }
    }
    readout(plot, made, series, spec, { X, x0, x1, inset, width, height, bottom });
  };

  /** A line that follows the pointer or the arrow keys, and what the chart says there. */
  const readout = (plot, made, series, spec, { X, x0, x1, inset, width, bottom }) => {
    const stops = [...new Set(series.flatMap((each) => each.x))].sort((a, b) => a - b);
    const cursor = svg("line", { class: "cursor", y1: inset.top, y2: bottom, visibility: "hidden" });
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    tip.setAttribute("aria-live", "polite");
    made.append(cursor);
    plot.append(tip);
    let at = stops.length - 1;
    const show = (k) => {
      at = Math.max(0, Math.min(stops.length - 1, k));
      const x = stops[at];
      cursor.setAttribute("x1", X(x));
      cursor.setAttribute("x2", X(x));
      cursor.setAttribute("visibility", "visible");
      const head = document.createElement("b");
      head.textContent = spec.tip(x);
      const rows = series
        .filter((each) => x >= each.x[0] && x <= each.x[each.x.length - 1])
        .map((each) => {
          let near = 0;
          each.x.forEach((other, k) => (near = Math.abs(other - x) < Math.abs(each.x[near] - x) ? k : near));
          const row = document.createElement("span");
          row.style.color = colour(each.agent);
          const [value, low, high] = [each.y[near], each.low[near], each.high[near]].map(spec.tipFormat || spec.yFormat);
          row.textContent = `${data.agents[each.agent]}: ${value}${low === high ? "" : ` (${low} to ${high})`}`;
          return row;
        });
      tip.replaceChildren(head, ...rows);
      tip.hidden = false;
      const left = X(x) + 12 + tip.offsetWidth > width ? X(x) - 12 - tip.offsetWidth : X(x) + 12;
      tip.style.left = `${Math.max(0, left)}px`;
      tip.style.top = `${inset.top + 4}px`;
    };
    const hide = () => {
      tip.hidden = true;
      cursor.setAttribute("visibility", "hidden");
    };
    const nearest = (event) => {
      const x = x0 + ((event.clientX - made.getBoundingClientRect().left - inset.left) / (width - inset.left - inset.right)) * (x1 - x0);
      let best = 0;
      stops.forEach((stop, k) => (best = Math.abs(stop - x) < Math.abs(stops[best] - x) ? k : best));
      show(best);
    };
    made.setAttribute("tabindex", "0");
    made.addEventListener("pointermove", nearest);
    made.addEventListener("pointerdown", nearest);
    made.addEventListener("pointerleave", hide);
    made.addEventListener("focus", () => show(at));
    made.addEventListener("blur", hide);
    made.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }[event.key];
      if (event.key === "Escape") hide();
      if (move === undefined) return;
      event.preventDefault();
      show(move === -Infinity ? 0 : move === Infinity ? stops.length - 1 : at + move);
    });
  };

  // --- Rows: one for each agent or pair ---

  /** rows: [{name, value, low, high, agent, dots: [{x, title}], strong}]; a name above its row, as a phone needs it. */
  const rowChart = (plot, rows, { references, label, title }) => {
    const width = plot.clientWidth;
    const tall = 46;
    const height = rows.length * tall + 44;
    const made = canvas(plot, width, height, title);
    const inset = { left: 12, right: 22 };
    const values = rows.flatMap((row) => [row.low, row.high, ...row.dots.map((dot) => dot.x)]).concat(references.map((each) => each.x));
    let [low, high] = [Math.min(...values), Math.max(...values)];
    const margin = (high - low) * 0.04 || 1;
    [low, high] = [low - margin, high + margin];
    const X = (x) => inset.left + ((x - low) / (high - low)) * (width - inset.left - inset.right);
    const bottom = height - 40;
    for (const x of ticks(low, high, Math.max(2, Math.floor(width / 110)))) {
      made.append(svg("line", { class: "grid", x1: X(x), x2: X(x), y1: 0, y2: bottom }));
      made.append(svg("text", { x: X(x), y: bottom + 16, "text-anchor": "middle" }, short(x)));
    }
    for (const { x, name } of references) {
      made.append(svg("line", { class: "reference", x1: X(x), x2: X(x), y1: 0, y2: bottom, style: "stroke:var(--ink)" }));
      if (name) {
        const right = X(x) > width / 2;
        made.append(svg("text", { class: "halo", x: X(x) + (right ? -5 : 5), y: bottom - 4, "text-anchor": right ? "end" : "start" }, name));
      }
    }
    made.append(svg("text", { x: width / 2, y: height - 6, "text-anchor": "middle" }, label));
    rows.forEach((row, k) => {
      const y = k * tall + 30;
      const style = `stroke:${row.agent === undefined ? "var(--ink)" : colour(row.agent)}`;
      made.append(svg("text", { class: "name halo", x: inset.left, y: y - 14 }, row.name));
      made.append(svg("line", { x1: X(row.low), x2: X(row.high), y1: y, y2: y, style, "stroke-width": 7, opacity: 0.25, "stroke-linecap": "round" }));
      row.dots.forEach((dot, j) => {
        const made_ = mark(row.agent, X(dot.x), y + ((j % 3) - 1) * 4, 4.5, { class: "dot", style: `fill:${colour(row.agent)}` });
        made_.append(svg("title", {}, dot.title));
        made.append(made_);
      });
      const fill = row.agent === undefined ? (row.strong ? "var(--good)" : "var(--soft)") : "var(--ink)";
      made.append(svg("line", { x1: X(row.value), x2: X(row.value), y1: y - 9, y2: y + 9, style: `stroke:${fill}`, "stroke-width": 3 }));
    });
  };

  // --- Which chart is where ---

  const line = (agent, x, points, seeds = []) => ({ agent, x, y: points.mean, low: points.low, high: points.high, seeds });

  const draw = {
    curve(plot, task, section) {
      const overTime = section.querySelector('input[value="time"]')?.checked;
      const seeds = section.querySelector('input[name$="seeds"]')?.checked;
      const series = overTime
        ? task.agents.filter((each) => each.time).map((each) => line(each.agent, each.time.x, each.time, each.runs.map((run) => ({ x: run.seconds, y: run.scores }))))
        : task.agents.map((each) => line(each.agent, each.curve.x, each.curve, each.runs.map((run) => ({ x: run.steps, y: run.scores }))));
      lineChart(plot, {
        series, seeds, references: task.references, zero: true, time: overTime,
        up: "mean return", label: overTime ? "time on the machine that ran it" : "steps",
        format: overTime ? seconds : short, yFormat: short, tipFormat: score,
        tip: (x) => (overTime ? seconds(x) : `step ${x.toLocaleString("en")}`),
        title: `Learning curves on ${task.name}; the table below holds their numbers. Arrow keys read out values.`,
      });
    },
    training(plot, task) {
      const series = task.agents.map(({ agent, training: { mean, runs } }) => ({ agent, x: mean.x, y: mean.y, low: mean.y, high: mean.y, seeds: runs }));
      lineChart(plot, {
        series, seeds: true, references: [], zero: true, up: "return", label: "steps", format: short, yFormat: short, tipFormat: score,
        tip: (x) => `step ${x.toLocaleString("en")}`, title: `Returns of training's own episodes on ${task.name}`,
      });
    },
    profile(plot, task) {
      const series = task.agents.map((each) => line(each.agent, task.thresholds, each.profile));
      lineChart(plot, {
        series, references: [], up: "part of runs", label: task.profileLabel, format: short, yFormat: percent, fixed: [0, 1.02],
        tip: (x) => `more than ${score(x)}`, title: `Performance profiles: the part of runs above each score`,
      });
    },
    part(plot, task) {
      const series = task.agents.filter((each) => each.curve).map((each) => line(each.agent, each.curve.x, each.curve));
      lineChart(plot, {
        series, references: [], up: "IQM", label: "part of the steps", format: percent, yFormat: short, tipFormat: score, zero: true,
        tip: (x) => `${percent(x)} of the steps`, title: "Interquartile mean of normalised scores over training",
      });
    },
    dots(plot, task) {
      const rows = task.agents
        .filter((each) => !hidden.has(each.agent))
        .map((each) => ({
          name: data.agents[each.agent], agent: each.agent, value: each.score[0], low: each.score[1], high: each.score[2],
          dots: each.runs.map((run) => ({ x: run.score, title: `${data.agents[each.agent]}, seed ${run.seed}: ${score(run.score)}` })),
        }));
      if (!rows.length) return plot.replaceChildren();
      const references = task.references.map((each) => ({ x: each.y, name: each.name }));
      rowChart(plot, rows, { references, label: "final return", title: `Final scores of each run on ${task.name}` });
    },
    pairs(plot, task) {
      const rows = task.pairs.map((pair) => ({
        name: `${pair.separated ? "\u2714" : "\u2248"} ${data.agents[pair.a]} \u2212 ${data.agents[pair.b]}`, value: pair.difference[0], low: pair.difference[1], high: pair.difference[2],
        dots: [], strong: pair.separated,
      }));
      rowChart(plot, rows, { references: [{ x: 0, name: "" }], label: "difference of mean scores", title: "Differences between agents" });
    },
  };

  const redraw = () => charts.forEach((chart) => chart());

  document.querySelectorAll("[data-chart]").forEach((plot) => {
    const section = plot.closest("section");
    const place = section.dataset.task;
    const task = place === "all" ? data.aggregate : data.tasks[+place];
    const chart = () => plot.clientWidth && draw[plot.dataset.chart](plot, task, section);
    charts.push(chart);
    let width = 0;
    new ResizeObserver(() => {
      if (plot.clientWidth !== width) {
        width = plot.clientWidth;
        chart();
      }
    }).observe(plot);
    section.querySelectorAll("input").forEach((input) => input.addEventListener("change", chart));
  });

  // --- Legends ---

  document.querySelectorAll(".legend").forEach((list) => {
    const place = list.closest("section").dataset.task;
    const task = place === "all" ? data.aggregate : data.tasks[+place];
    for (const { agent } of task.agents) {
      const item = document.createElement("li");
      const made = document.createElement("button");
      made.type = "button";
      made.dataset.agent = agent;
      const swatch = svg("svg", { width: 30, height: 14, "aria-hidden": "true" });
      const style = `stroke:${colour(agent)};stroke-width:2.5`;
      swatch.append(svg("line", { x1: 1, x2: 29, y1: 7, y2: 7, style, "stroke-dasharray": dash(agent) }));
      swatch.append(mark(agent, 15, 7, 4, { style: `fill:${colour(agent)};stroke:var(--card)` }));
      made.append(swatch, data.agents[agent]);
      made.addEventListener("click", () => {
        if (!hidden.delete(agent)) hidden.add(agent);
        document.querySelectorAll(".legend button").forEach((each) => each.setAttribute("aria-pressed", !hidden.has(+each.dataset.agent)));
        redraw();
      });
      made.setAttribute("aria-pressed", "true");
      item.append(made);
      list.append(item);
    }
  });

  // --- Films and commands ---

  document.querySelectorAll("button[data-film]").forEach((play) => {
    const film = document.getElementById(play.dataset.film);
    const still = film.src;
    play.hidden = false;
    play.addEventListener("click", () => {
      const playing = film.src !== still;
      film.src = playing ? still : film.dataset.moving;
      play.textContent = playing ? "Play" : "Stop";
    });
  });

  document.querySelectorAll("button[data-copy]").forEach((copy) => {
    if (!navigator.clipboard) return;
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent);
        copy.textContent = "Copied";
      } catch {
        copy.textContent = "Could not copy";
      }
    });
  });
})();
