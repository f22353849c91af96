/** Widgets whose numbers count with preset `custom` only: editing one switches to it. */

/** By node id; a test compares this with what the nodes do. */
export const overridden = {
  WanStepCache_FBCache: ["residual_diff_threshold"],
  WanStepCache_TeaCache: ["rel_l1_thresh"],
  WanStepCache_MagCache: ["magcache_thresh", "magcache_K", "retention_ratio"],
  WanStepCache_TaylorSeer: ["interval", "max_order", "first_enhance", "last_steps"],
  WanStepCache_AdaCache: ["codebook"],
  WanStepCache_CustomCache: ["rel_l1_thresh"],
  WanStepCache_EasyCache: ["reuse_threshold"],
  WanStepCache_CFGCache: ["interval", "start_percent", "end_percent"],
};

const CUSTOM = "custom";

/** Keeps a node's preset and its numbers from contradicting each other. */
export function followPreset(node, names) {
  const preset = find(node, "preset");
  for (const name of names) {
    const widget = find(node, name);
    if (widget) afterEdit(widget, () => choose(node, preset, CUSTOM));
  }
}

function choose(node, preset, value) {
  if (preset.value === value) return;
  preset.value = value;
  preset.callback?.(value);
  node.setDirtyCanvas?.(true, true);
}

function afterEdit(widget, then) {
  const { callback } = widget;
  widget.callback = function (...args) {
    const result = callback?.apply(this, args);
    then();
    return result;
  };
}

function find(node, name) {
  return node.widgets?.find((widget) => widget.name === name);
}
