// optuna-dashboard's History is linear at first. Where one dead network's loss dwarfs the others,
// they would be one line at its foot: its own switch "Log y scale" is then turned on, once a page.
"use strict";
const FACTOR = 20;
const seen = new Set();
let before = "";

function isDwarfed(values) {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)];
  return sorted.length > 2 && sorted[0] > 0 && sorted[sorted.length - 1] > FACTOR * middle;
}

function look() {
  const isNew = location.pathname !== before;  // the figure may still be that of the page before
  before = location.pathname;
  const plot = document.getElementById("plot-history");
  if (isNew || !plot || !plot.data || seen.has(location.pathname)) return;
  const values = plot.data.flatMap((trace) => (trace.mode === "markers" ? [...trace.y] : []));
  if (!values.length) return;
  seen.add(location.pathname);
  const label = [...document.querySelectorAll("label")].find((one) =>
    one.textContent.includes("Log y scale"));
  const input = label && label.querySelector("input");
  if (input && !input.checked && isDwarfed(values)) input.click();
}

setInterval(look, 500);
