/** Wan Step Cache in the browser: a timeline on every Apply node, and numbers that look as they count. */

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { PresetNumbers } from "./preset_numbers.js";
import { Timeline } from "./timeline_widget.js";

const EVENT = "wan_step_cache.timeline";
const APPLY = [
  "FBCache", "TeaCache", "MagCache", "TaylorSeer", "AdaCache", "CustomCache", "EasyCache", "CFGCache",
].map((method) => `WanStepCache_${method}`);
const timelines = new WeakMap();

app.registerExtension({
  name: "WanStepCache.Timeline",
  setup() {
    api.addEventListener(EVENT, ({ detail }) => receive(detail));
  },
  nodeCreated(node) {
    if (APPLY.includes(node.comfyClass)) addFace(node);
  },
  loadedGraphNode(node) {
    timelines.get(node)?.restore();
  },
});

function addFace(node) {
  const timeline = new Timeline(node);
  const numbers = new PresetNumbers(node, timeline.box);
  timelines.set(node, timeline);
  const { onRemoved, onConfigure } = node;
  node.onRemoved = function (...args) {
    timeline.remove();
    return onRemoved?.apply(this, args);
  };
  node.onConfigure = function (...args) {
    const result = onConfigure?.apply(this, args);
    timeline.restore();
    numbers.refresh();
    return result;
  };
}

function receive({ prompt, run, nodes }) {
  for (const [id, snapshot] of Object.entries(nodes)) {
    const node = nodeOf(id);
    if (node) timelines.get(node)?.update(prompt, run, snapshot);
  }
}

/** The node of an id such as 12, or 5:12 for node 12 in the subgraph that is node 5. */
function nodeOf(id) {
  const path = String(id).split(":");
  let graph = app.rootGraph ?? app.graph;
  for (const part of path.slice(0, -1)) graph = graph?.getNodeById(part)?.subgraph;
  return graph?.getNodeById(path.at(-1)) ?? null;
}
