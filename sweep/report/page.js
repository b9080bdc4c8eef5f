"use strict";

const PRINT_WIDTH = 690; // pixels: an A4 page without its margins

function readCell(row, column) {
  return row.cells[column].textContent.trim();
}

function compare(one, other) {
  const numbers = [parseFloat(one), parseFloat(other)];
  if (numbers.every((number) => !Number.isNaN(number))) return numbers[0] - numbers[1];
  return one.localeCompare(other);
}

function sortTable(table, column, direction) {
  const body = table.tBodies[0];
  const rows = [...body.rows].sort((one, other) => {
    const cells = [readCell(one, column), readCell(other, column)];
    if (!cells[0] || !cells[1]) return Number(!cells[0]) - Number(!cells[1]); // empty ones last
    return direction * compare(cells[0], cells[1]);
  });
  body.append(...rows);
}

function makeSortable(table) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent.trim();
    header.replaceChildren(button);
    button.addEventListener("click", () => {
      const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      headers.forEach((each) => each.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      sortTable(table, column, direction);
    });
  });
}

function makeFilterable(table, number) {
  const rows = [...table.tBodies[0].rows];
  const input = Object.assign(document.createElement("input"), { type: "search", id: `filter-${number}` });
  const label = Object.assign(document.createElement("label"), { htmlFor: input.id });
  label.textContent = `Filter “${table.caption.textContent}” (words, all of them)`;
  const status = document.createElement("span");
  status.setAttribute("role", "status");
  const update = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    status.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} shown`;
  };
  input.addEventListener("input", update);
  update();
  const box = Object.assign(document.createElement("div"), { className: "filter" });
  box.append(label, input, status);
  table.parentElement.before(box);
}

async function loadPlotly() {
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

async function drawFigures() {
  await loadPlotly();
  for (const figure of document.querySelectorAll("figure")) {
    const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
    const options = { responsive: true, displaylogo: false };
    await Plotly.newPlot(figure.querySelector(".plot"), data, layout, options);
    figure.classList.add("drawn");
    await new Promise((resolve) => setTimeout(resolve)); // the page stays usable meanwhile
  }
  document.documentElement.dataset.figures = "drawn";
}

function resizePlots(change) {
  for (const plot of document.querySelectorAll(".drawn .plot")) Plotly.relayout(plot, change);
}

document.querySelectorAll("table.sortable").forEach((table, number) => {
  makeSortable(table);
  makeFilterable(table, number);
});
window.addEventListener("beforeprint", () => resizePlots({ autosize: false, width: PRINT_WIDTH }));
window.addEventListener("afterprint", () => resizePlots({ autosize: true, width: null }));
drawFigures();
