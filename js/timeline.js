/**
 * What a timeline shows: from a run's numbers to rectangles and words. No DOM, no side effects.
 *
 * @typedef {{row: string, why: (string|null)[]}} Branch a letter and a reason for every step
 * @typedef {{index: number, method: string, model: string, preset: string, numbers: string,
 *   steps: number, plan: string|null, branches: Object<string, Branch>, metric: (number|null)[],
 *   threshold: number|null, elapsed: number, remaining: number, saved: number, speedup: number,
 *   bytes: number, failsafes: Object<string, number>, text: string, done: boolean}} Run
 * @typedef {{prompt: string, runs: Run[]}} Shown all runs of one prompt that a node takes part in
 * @typedef {{x: number, y: number, width: number, height: number, letter: string, run: number,
 *   branch: string, step: number}} Cell
 */

/** Letters of cells, as `cache_core/cells.py` gives them. */
export const MEANING = {
  C: "computed",
  M: "computed (forced)",
  R: "reused",
  F: "forecast",
  X: "computed (failsafe)",
  ".": "not reached yet",
};

const CURVE = 22;
const GAP = 4;

/** A message's run in the place of what was known of it; another prompt starts anew. */
export function take(shown, prompt, index, run) {
  const known = shown?.prompt === prompt ? shown.runs : [];
  return { prompt, runs: [...known.filter((other) => other.index < index), { ...run, index }] };
}

/** Names of the branches in order: cond, uncond, then the rest. */
export function branchesOf(runs) {
  const names = new Set(runs.flatMap((run) => Object.keys(run.branches)));
  const first = ["cond", "uncond"].filter((name) => names.has(name));
  const rest = [...names].filter((name) => !first.includes(name)).sort();
  return names.size ? [...first, ...rest] : ["cond"];
}

/** Rectangles of all cells, points of the metric's curve and the threshold's height. */
export function layout(shown, width, height) {
  const names = branchesOf(shown.runs);
  const steps = shown.runs.reduce((sum, run) => sum + run.steps, 0);
  const gaps = GAP * (shown.runs.length - 1);
  const cell = Math.max((width - gaps) / Math.max(steps, 1), 1);
  const tall = Math.max((height - CURVE) / names.length, 4);
  const cells = [];
  const curves = [];
  let left = 0;
  shown.runs.forEach((run, index) => {
    names.forEach((branch, line) => {
      const row = run.branches[branch]?.row ?? ".".repeat(run.steps);
      for (let step = 0; step < run.steps; step += 1) {
        const place = { x: left + step * cell, y: line * tall, width: cell, height: tall };
        cells.push({ ...place, letter: row[step] ?? ".", run: index, branch, step });
      }
    });
    curves.push(curveOf(run, left, cell, height));
    left += run.steps * cell + GAP;
  });
  return { cells, curves, names };
}

/** The metric of one run over its steps, and its threshold, scaled to the strip below the cells. */
function curveOf(run, left, cell, height) {
  const known = run.metric.filter((value) => value !== null);
  const most = Math.max(...known, run.threshold ?? 0) * 1.1 || 1;
  const y = (value) => height - 2 - (value / most) * (CURVE - 6);
  const points = run.metric.flatMap((value, step) =>
    value === null ? [] : [{ x: left + (step + 0.5) * cell, y: y(value) }],
  );
  const limit = run.threshold === null || !known.length ? null : y(run.threshold);
  return { points, limit, left, right: left + run.steps * cell };
}

/** The letter of a planned step that has not been reached, for a faint preview. */
export function planned(run, step) {
  return run.plan?.[step] ?? null;
}

/** The cell under a point, or null. */
export function hit(cells, x, y) {
  const inside = (cell) =>
    x >= cell.x && x < cell.x + cell.width && y >= cell.y && y < cell.y + cell.height;
  return cells.find(inside) ?? null;
}

/** A cell in words: why it was computed or reused, metric and threshold. */
export function words(shown, cell) {
  const run = shown.runs[cell.run];
  const part = shown.runs.length > 1 ? `, sampling ${cell.run + 1}` : "";
  const where = `Step ${cell.step + 1} of ${run.steps}${part}, ${cell.branch}`;
  const why = run.branches[cell.branch]?.why[cell.step];
  if (!why) {
    const plan = { C: "will be computed", R: "will be reused" }[planned(run, cell.step)];
    return `${where}: ${plan ?? MEANING["."]}`;
  }
  return `${where}: ${MEANING[cell.letter]}, ${why}${compared(run, cell.step)}`;
}

function compared(run, step) {
  const metric = run.metric[step];
  if (metric === null || metric === undefined) return "";
  const limit = run.threshold === null ? "" : ` (threshold ${short(run.threshold)})`;
  return `, metric ${short(metric)}${limit}`;
}

function short(value) {
  return String(Number(value.toPrecision(3)));
}

/** How many steps of a run have been reached, and how many of those computed in some branch. */
export function progress(run) {
  const rows = Object.values(run.branches).map((branch) => branch.row);
  const letters = Array.from({ length: run.steps }, (_, step) => rows.map((row) => row[step]));
  const reached = letters.filter((told) => told.some((letter) => letter !== "."));
  const computed = reached.filter((told) => told.some((letter) => "CMX".includes(letter)));
  return { reached: reached.length, computed: computed.length };
}

/** One line on everything that is shown, for the node's face and for screen readers. */
export function summary(shown) {
  const total = totals(shown.runs);
  if (!total.reached) return planText(shown.runs) || "waiting for the sampler";
  const time = total.done
    ? `${clock(total.elapsed)}`
    : `${clock(total.elapsed)} of about ${clock(total.elapsed + total.remaining)}`;
  const parts = [
    `${total.computed} of ${total.reached} steps computed`,
    `${total.speedup.toFixed(2)}x`,
    time,
    `${clock(total.saved)} saved`,
    mebibytes(total.bytes),
  ];
  if (!total.done) parts.unshift(`step ${total.reached} of ${total.steps}`);
  if (total.failsafes) parts.push(`${total.failsafes} failsafes`);
  return parts.join(", ");
}

function totals(runs) {
  const sum = (of) => runs.reduce((total, run) => total + of(run), 0);
  const elapsed = sum((run) => run.elapsed);
  const saved = sum((run) => run.saved);
  const reached = sum((run) => progress(run).reached);
  const cost = sum((run) => progress(run).reached / run.speedup);
  return {
    steps: sum((run) => run.steps),
    reached,
    computed: sum((run) => progress(run).computed),
    elapsed,
    saved,
    remaining: sum((run) => run.remaining),
    speedup: cost ? reached / cost : 1,
    bytes: Math.max(0, ...runs.map((run) => run.bytes)),
    failsafes: sum((run) => Object.values(run.failsafes).reduce((a, b) => a + b, 0)),
    done: runs.every((run) => run.done),
  };
}

function planText(runs) {
  const plan = runs.at(-1)?.plan;
  if (!plan) return "";
  const computed = [...plan].filter((letter) => letter === "C").length;
  return `plan: computes ${computed} of ${plan.length} steps`;
}

/** Seconds as people say them: 8.4 s, or 12:05. */
export function clock(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function mebibytes(bytes) {
  const size = bytes / 2 ** 20;
  return `${size < 10 ? size.toFixed(1) : Math.round(size)} MiB`;
}
