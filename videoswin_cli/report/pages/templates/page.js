"use strict";

// --- tables ---------------------------------------------------------------------------------------

function valueOf(row, column, isNumber) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  return isNumber ? (text === "" ? NaN : parseFloat(text)) : text;
}

function compare(a, b) {
  if (typeof a === "string") return a.localeCompare(b, undefined, { numeric: true });
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
  return a - b;
}

function sortTable(table, header, column) {
  const isNumber = header.dataset.kind === "number";
  const before = header.getAttribute("aria-sort");
  const order = before ? (before === "ascending" ? "descending" : "ascending") : "ascending";
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => sign * compare(valueOf(a, column, isNumber), valueOf(b, column, isNumber)));
  table.tBodies[0].append(...rows);
}

function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => sortTable(table, header, column));
  });
}

function showRows(listing, isShown) {
  const rows = [...listing.querySelector("tbody").rows];
  let shown = 0;
  for (const row of rows) {
    row.hidden = !isShown(row);
    shown += !row.hidden;
  }
  listing.querySelector("[data-count]").textContent =
    shown === rows.length ? "" : `${shown} of ${rows.length} rows`;
}

function makeFilter(input) {
  const listing = input.closest(".listing");
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    showRows(listing, (row) => row.textContent.toLowerCase().includes(wanted));
  });
}

// --- confusion matrix -----------------------------------------------------------------------------

const LABELED = 60; // classes up to which names stand beside the rows
const COUNTED = 30; // classes up to which numbers stand in the cells
const LISTED = 200; // videos of a cell that are listed

function svg(name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function summarize(data) {
  const classes = data.labels.map((label, place) => (
    { label, place, index: data.indices[place], videos: data.failed[place], right: 0,
      failed: data.failed[place] }
  ));
  for (const [correct, predicted, videos] of data.cells) {
    classes[correct].videos += videos;
    if (correct === predicted) classes[correct].right += videos;
  }
  for (const each of classes) {
    each.errors = each.videos - each.right;
    each.accuracy = each.videos ? each.right / each.videos : Infinity; // without videos: last
  }
  return classes;
}

const ORDERS = {
  accuracy: (a, b) => a.accuracy - b.accuracy || b.errors - a.errors || a.index - b.index,
  errors: (a, b) => b.errors - a.errors || a.accuracy - b.accuracy || a.index - b.index,
  name: (a, b) => compare(a.label, b.label),
  index: (a, b) => a.index - b.index,
};

function choose(data, classes, state) {
  let chosen = classes;
  if (state.zoomed !== null) {
    const near = new Set([state.zoomed]);
    for (const [correct, predicted] of data.cells) {
      if (correct === state.zoomed) near.add(predicted);
      if (predicted === state.zoomed) near.add(correct);
    }
    chosen = classes.filter((each) => near.has(each.place));
  } else if (state.show) {
    const worst = ORDERS[state.order === "errors" ? "errors" : "accuracy"];
    chosen = [...classes].sort(worst).slice(0, state.show);
  }
  return [...chosen].sort(ORDERS[state.order]);
}

function percent(share, digits) { // as report/percent.py
  const shown = (100 * share).toFixed(digits);
  return share < 1 && Number(shown) >= 100 ? (100 - 10 ** -digits).toFixed(digits) : shown;
}

function shorten(text) {
  return text.length > 28 ? `${text.slice(0, 27)}…` : text;
}

function drawMatrix(data, classes, chosen, on) {
  const count = chosen.length;
  const named = count <= LABELED;
  const size = Math.max(named ? 14 : 3, Math.min(30, Math.floor(640 / count)));
  const longest = Math.max(...chosen.map((each) => shorten(each.label).length));
  const margin = named ? 20 + 6.6 * longest : 10;
  const rest = count < classes.length; // a column for what is predicted beside the chosen
  const width = margin + size * count + (rest ? size + 10 : 0) + (named ? 60 : 4)
    + (named && chosen.some((each) => each.failed) ? 70 : 0);
  const picture = svg("svg", { width, height: margin + size * count + 6, role: "img",
    "aria-label": "confusion matrix" });
  const row = new Map(chosen.map((each, place) => [each.place, place]));
  picture.append(svg("rect", { class: "empty", x: margin, y: margin, width: size * count,
    height: size * count }));
  const others = new Map();
  const draw = (x, y, shares, isRight, videos, title, pair) => {
    const side = named ? size - 1 : size;
    const least = named ? 0.12 : 0.4; // small cells would not be seen
    const cell = svg("rect", { class: `cell ${isRight ? "right" : "wrong"}`, x, y, width: side,
      height: side, "fill-opacity": least + (1 - least) * shares, "data-pair": pair.join(",") });
    cell.append(svg("title", {}, title));
    cell.addEventListener("click", () => on.cell(cell, pair));
    picture.append(cell);
    if (count <= COUNTED) {
      picture.append(svg("text", { class: "amount-text", x: x + size / 2 - 0.5, y: y + size / 2 + 4,
        "text-anchor": "middle" }, videos));
    }
  };
  for (const [correct, predicted, videos] of data.cells) {
    if (!row.has(correct)) continue;
    const shares = videos / classes[correct].videos;
    if (!row.has(predicted)) {
      others.set(correct, (others.get(correct) || 0) + videos);
      continue;
    }
    draw(margin + size * row.get(predicted), margin + size * row.get(correct), shares,
      correct === predicted, videos,
      `${classes[correct].label} predicted as ${classes[predicted].label}: ${videos} of ${classes[correct].videos}`,
      [correct, predicted]);
  }
  for (const [correct, videos] of others) {
    draw(margin + size * count + 10, margin + size * row.get(correct),
      videos / classes[correct].videos, false, videos,
      `${classes[correct].label} predicted as a class that is not shown: ${videos}`, [correct, -1]);
  }
  if (named) chosen.forEach((each, place) => label(each, place));
  return picture;

  function label(each, place) {
    const middle = margin + size * (place + 0.5);
    const left = svg("text", { class: "label", x: margin - 6, y: middle + 4,
      "text-anchor": "end" }, shorten(each.label));
    const above = svg("text", { class: "label",
      transform: `translate(${middle + 4} ${margin - 6}) rotate(-90)` }, shorten(each.label));
    const accuracy = each.videos ? `${percent(each.accuracy, 0)} %` : "";
    const right = margin + size * count + (rest ? size + 10 : 0) + 8;
    const failed = each.failed ? `, ${each.failed} failed` : "";
    picture.append(svg("text", { x: right, y: middle + 4 }, accuracy + failed));
    for (const text of [left, above]) {
      text.append(svg("title", {}, each.label));
      text.addEventListener("click", () => on.label(each.place));
      picture.append(text);
    }
  }
}

function listCell(target, data, classes, shown, [correct, predicted]) {
  const isOther = (place) => (predicted < 0 ? !shown.has(place) : place === predicted);
  const cells = data.cells.filter(([c, p]) => c === correct && isOther(p));
  const videos = cells.reduce((sum, cell) => sum + cell[2], 0);
  const name = predicted < 0 ? "a class that is not shown" : classes[predicted].label;
  const head = document.createElement("p");
  head.textContent = `${classes[correct].label} predicted as ${name}: ${videos} video${videos === 1 ? "" : "s"}`;
  target.replaceChildren(head);
  const errors = data.errors.filter(([, c, p]) => c === correct && isOther(p)).slice(0, LISTED);
  if (!errors.length) return;
  const list = document.createElement("ul");
  for (const [path, , place, prob] of errors) {
    const item = document.createElement("li");
    const more = predicted < 0 ? `, ${classes[place].label}` : "";
    item.className = "path";
    item.textContent = `${path} (${percent(prob, 1)} %${more})`;
    list.append(item);
  }
  target.append(list);
  if (errors.length < videos) head.textContent += `, ${errors.length} of them listed`;
}

function makeMatrix(root) {
  const data = JSON.parse(root.querySelector("script").textContent);
  const classes = summarize(data);
  const [show, order, reset] = ["[data-show]", "[data-order]", "[data-reset]"].map(
    (selector) => root.querySelector(selector),
  );
  const target = root.querySelector("[data-cell]");
  for (const option of [...show.options]) {
    if (Number(option.value) >= classes.length) option.remove();
  }
  if (classes.length <= 20) show.value = "0";
  let zoomed = null;
  const redraw = () => {
    const state = { show: Number(show.value), order: order.value, zoomed };
    const chosen = choose(data, classes, state);
    const shown = new Set(chosen.map((each) => each.place));
    reset.hidden = zoomed === null;
    target.replaceChildren();
    const on = {
      label: (place) => { zoomed = place; redraw(); },
      cell: (cell, pair) => {
        for (const other of root.querySelectorAll(".chosen")) other.classList.remove("chosen");
        cell.classList.add("chosen");
        listCell(target, data, classes, shown, pair);
      },
    };
    root.querySelector("[data-picture]").replaceChildren(drawMatrix(data, classes, chosen, on));
  };
  show.addEventListener("change", () => { zoomed = null; redraw(); });
  order.addEventListener("change", redraw);
  reset.addEventListener("click", () => { zoomed = null; redraw(); });
  redraw();
}

// --- timeline -------------------------------------------------------------------------------------

function makeTimeline(root) {
  const video = root.querySelector("video");
  const head = root.querySelector("[data-playhead]");
  const entries = [...root.querySelectorAll("[data-start]")];
  let until = Infinity;

  const isAt = (entry, time) => time >= Number(entry.dataset.start) && time < Number(entry.dataset.end);
  const follow = () => {
    const time = video.currentTime;
    if (time >= until) {
      until = Infinity;
      video.pause();
    }
    const track = root.querySelector(".track");
    if (head && track) {
      head.hidden = false;
      const passed = (time - Number(root.dataset.from)) / Number(root.dataset.duration);
      const share = Math.min(1, Math.max(0, passed));
      head.style.left = `${track.offsetLeft + share * track.clientWidth}px`;
    }
    for (const entry of entries) entry.classList.toggle("playing", isAt(entry, time));
  };
  const play = (entry) => {
    video.currentTime = Number(entry.dataset.start);
    until = Number(entry.dataset.end);
    video.play().catch(() => {}); // a format that the browser does not know is told below
  };
  if (video) {
    for (const name of ["timeupdate", "seeked"]) video.addEventListener(name, follow);
    const complain = () => { root.querySelector("[data-unplayable]").hidden = false; };
    video.addEventListener("error", complain);
    if (video.error) complain();
    for (const entry of entries) {
      entry.addEventListener("click", () => play(entry));
      entry.addEventListener("keydown", (event) => {
        if (event.key === "Enter" && entry.tagName === "TR") play(entry);
      });
    }
  }
  const filter = root.querySelector("[data-class-filter]");
  if (!filter) return;
  filter.addEventListener("change", () => {
    const isShown = (entry) => filter.value === "" || entry.dataset.class === filter.value;
    showRows(root.querySelector(".listing"), isShown);
    for (const lane of root.querySelectorAll(".lane[data-class]")) lane.hidden = !isShown(lane);
  });
}

document.querySelectorAll("table[data-sortable]").forEach(makeSortable);
document.querySelectorAll("input[data-filter]").forEach(makeFilter);
document.querySelectorAll("[data-matrix]").forEach(makeMatrix);
document.querySelectorAll("[data-timeline]").forEach(makeTimeline);
