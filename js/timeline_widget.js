/** The timeline as a widget of a node, in the classic and in the new renderer. */

import { app } from "../../scripts/app.js";
import { coloursOf, paint } from "./paint.js";
import { hit, layout, summary, take, words } from "./timeline.js";

const NAME = "timeline";
const TYPE = "WANSTEPCACHE_TIMELINE";
const PROPERTY = "wan_step_cache_timeline";
const HEIGHT = 78;
const MOST_KEPT = 16000;

/** One node's timeline: what it shows, and where. */
export class Timeline {
  constructor(node) {
    this.node = node;
    this.shown = null;
    this.cells = [];
    this.build();
    this.widget = node.addDOMWidget(NAME, TYPE, this.box, {
      serialize: false,
      hideOnZoom: false,
      getMinHeight: () => HEIGHT,
      getMaxHeight: () => HEIGHT,
    });
    this.widget.serialize = false;
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.canvas);
    this.describe();
  }

  build() {
    this.box = element("div", { role: "img", tabIndex: 0 });
    Object.assign(this.box.style, {
      width: "100%", height: `${HEIGHT}px`, boxSizing: "border-box", padding: "2px 4px",
    });
    this.canvas = element("canvas", {});
    Object.assign(this.canvas.style, { width: "100%", height: "46px", display: "block" });
    this.line = element("div", {});
    Object.assign(this.line.style, {
      font: "11px sans-serif", lineHeight: "14px", height: "28px", overflow: "hidden",
      color: "var(--descrip-text, inherit)",
    });
    this.box.append(this.canvas, this.line);
    this.canvas.addEventListener("pointermove", (event) => this.hover(event));
    this.canvas.addEventListener("pointerleave", () => this.describe());
  }

  /** A message about a run of this node. */
  update(prompt, index, run) {
    this.shown = take(this.shown, prompt, index, run);
    this.keep();
    this.describe();
    this.draw();
  }

  /** What a saved workflow remembers of the last run. */
  restore() {
    const kept = this.node.properties?.[PROPERTY];
    if (!kept) return;
    if (kept.node === String(this.node.id)) this.shown = kept.shown;
    else delete this.node.properties[PROPERTY]; // a copy of a node has not run
    this.describe();
    this.draw();
  }

  keep() {
    if (!this.shown.runs.at(-1).done) return;
    const kept = { node: String(this.node.id), shown: this.shown };
    this.node.properties ??= {};
    if (JSON.stringify(kept).length <= MOST_KEPT) this.node.properties[PROPERTY] = kept;
    else delete this.node.properties[PROPERTY];
    noteChange();
  }

  describe() {
    const text = this.shown ? summary(this.shown) : "no run yet";
    this.line.textContent = text;
    this.line.title = this.shown?.runs.map((run) => run.text).filter(Boolean).join("\n\n") ?? "";
    this.box.setAttribute("aria-label", `Step cache timeline: ${text}`);
  }

  hover(event) {
    if (!this.shown) return;
    const cell = hit(this.cells, event.offsetX, event.offsetY);
    if (cell) this.line.textContent = words(this.shown, cell);
    else this.describe();
  }

  draw() {
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    if (!width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    if (!this.shown) return;
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    const placed = layout(this.shown, width, height);
    this.cells = placed.cells;
    paint(context, width, height, placed, this.shown, coloursOf(this.box));
  }

  remove() {
    this.observer.disconnect();
  }
}

/** Has the page keep the workflow as it is now, so that reloading it shows the run again. */
function noteChange() {
  const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
  (tracker?.captureCanvasState ?? tracker?.checkState)?.call(tracker);
}

function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}
