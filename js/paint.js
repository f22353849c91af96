/** Painting a timeline on a canvas. Kinds of cells differ in shape too, not in colour alone. */

import { planned } from "./timeline.js";

/** The theme's colours, read where the canvas is. */
export function coloursOf(element) {
  const style = getComputedStyle(element);
  const read = (name, fallback) => style.getPropertyValue(name).trim() || fallback;
  return {
    ink: read("--input-text", read("--fg-color", style.color)),
    faint: read("--border-color", "gray"),
    accent: read("--p-primary-color", "royalblue"),
    alarm: read("--error-text", "crimson"),
  };
}

/** Everything, for a layout of `timeline.js`. */
export function paint(context, width, height, placed, shown, colours) {
  context.clearRect(0, 0, width, height);
  for (const cell of placed.cells) paintCell(context, cell, shown.runs[cell.run], colours);
  for (const curve of placed.curves) paintCurve(context, curve, colours);
}

function paintCell(context, cell, run, colours) {
  const inset = cell.width > 5 ? 0.5 : 0;
  const [x, y] = [cell.x + inset, cell.y + 1];
  const [width, height] = [Math.max(cell.width - 2 * inset, 0.8), cell.height - 2];
  const box = { x, y, width, height };
  if (cell.letter === ".") paintAhead(context, box, planned(run, cell.step), colours);
  else SHAPES[cell.letter]?.(context, box, colours);
}

/** Not reached yet: a thin line at the bottom, twice as strong where the plan computes. */
function paintAhead(context, box, plan, colours) {
  const tall = plan === "C" ? box.height / 2 : 2;
  context.fillStyle = colours.faint;
  context.fillRect(box.x, box.y + box.height - tall, box.width, tall);
}

const SHAPES = {
  C: (context, box, { ink }) => fill(context, box, ink),
  M: (context, box, { ink, accent }) => {
    fill(context, box, ink);
    fill(context, { ...box, height: 3 }, accent);
  },
  R: (context, box, { accent }) => frame(context, box, accent),
  F: (context, box, { accent }) => {
    frame(context, box, accent);
    context.beginPath();
    context.moveTo(box.x, box.y + box.height);
    context.lineTo(box.x + box.width, box.y);
    context.stroke();
  },
  X: (context, box, { alarm }) => {
    fill(context, box, alarm);
    context.clearRect(box.x, box.y + box.height / 2 - 1, box.width, 2);
  },
};

function fill(context, box, colour) {
  context.fillStyle = colour;
  context.fillRect(box.x, box.y, box.width, box.height);
}

function frame(context, box, colour) {
  context.globalAlpha = 0.35;
  fill(context, box, colour);
  context.globalAlpha = 1;
  context.strokeStyle = colour;
  context.lineWidth = 1;
  if (box.width > 4) context.strokeRect(box.x + 0.5, box.y + 0.5, box.width - 1, box.height - 1);
}

function paintCurve(context, curve, colours) {
  context.lineWidth = 1;
  if (curve.limit !== null) {
    context.strokeStyle = colours.faint;
    context.setLineDash([3, 3]);
    line(context, [
      { x: curve.left, y: curve.limit },
      { x: curve.right, y: curve.limit },
    ]);
    context.setLineDash([]);
  }
  context.strokeStyle = colours.ink;
  line(context, curve.points);
}

function line(context, points) {
  context.beginPath();
  points.forEach((point, index) => {
    if (index) context.lineTo(point.x, point.y);
    else context.moveTo(point.x, point.y);
  });
  context.stroke();
}
