/**
 * Numbers that count with preset `custom` only: greyed with another, and editing one switches to it.
 *
 * Which they are, the node's own definition says (CUSTOM_ONLY in nodes/inputs.py).
 */

const CUSTOM = "custom";
const FLAG = "wan_step_cache_custom_only";
let made = 0;

/** Keeps what a node's widgets look like and what they do the same. */
export class PresetNumbers {
  /** box: an element in the node, where the new renderer has its widgets. */
  constructor(node, box) {
    this.node = node;
    this.preset = node.widgets.find((widget) => widget.name === "preset");
    this.widgets = node.widgets.filter((widget) => isCustomOnly(node, widget.name));
    this.loading = true;
    // A workflow in API format calls back for every value, right after it has made the nodes.
    setTimeout(() => (this.loading = false));
    this.style = document.createElement("style");
    box.dataset.presetNumbers = made += 1;
    box.append(this.style);
    this.scope = `[data-node-id]:has([data-preset-numbers="${made}"])`;
    for (const widget of this.widgets) {
      afterwards(widget, () => this.edited());
      grey(widget, () => this.unused);
    }
    afterwards(this.preset, () => this.refresh());
    this.refresh();
  }

  get unused() {
    return this.preset.value !== CUSTOM;
  }

  edited() {
    if (this.loading || !this.unused) return;
    this.preset.value = CUSTOM;
    this.preset.callback?.(CUSTOM);
    this.node.setDirtyCanvas?.(true, true);
  }

  /** For the new renderer, whose widgets are elements with their names or, translated, labels. */
  refresh() {
    const names = this.widgets.flatMap(({ name, label }) => [name, label ?? name]);
    const numbers = names.map((name) => `[aria-label="${name}"]`).join(", ");
    this.style.textContent = this.unused ? `${this.scope} :is(${numbers}) { opacity: 0.45 }` : "";
  }
}

function isCustomOnly(node, name) {
  const { required, optional } = node.constructor.nodeData?.input ?? {};
  return Boolean((required?.[name] ?? optional?.[name])?.[1]?.[FLAG]);
}

function afterwards(widget, then) {
  const { callback } = widget;
  widget.callback = function (...args) {
    const result = callback?.apply(this, args);
    then();
    return result;
  };
}

/** For the classic renderer, which asks the widget for its colours. */
function grey(widget, unused) {
  for (const name of ["text_color", "secondary_text_color"]) {
    const usual = inherited(widget, name);
    if (!usual?.get) continue;
    const get = () => (unused() ? LiteGraph.WIDGET_DISABLED_TEXT_COLOR : usual.get.call(widget));
    Object.defineProperty(widget, name, { configurable: true, get });
  }
}

function inherited(object, name) {
  for (let at = object; at; at = Object.getPrototypeOf(at)) {
    const found = Object.getOwnPropertyDescriptor(at, name);
    if (found) return found;
  }
  return null;
}
