"use strict";

const at = (id) => document.getElementById(id);
const LONG = parseFloat(document.body.dataset.long); // s
const RECORDED = 3000; // ms
let turn = 0; // the last request; answers of earlier ones are dropped

function add(parent, kind, text, ...classes) {
  const made = document.createElement(kind);
  if (text) made.textContent = text;
  made.classList.add(...classes);
  parent.append(made);
  return made;
}

function say(text, problem) {
  at("state").textContent = text;
  at("problem").textContent = problem || "";
  at("problem").hidden = !problem;
}

function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const rest = (tenths % 600) / 10;
  return `${Math.floor(tenths / 600)}:${rest < 10 ? "0" : ""}${rest.toFixed(1)}`;
}

async function ask(route, file) {
  const form = new FormData();
  form.append("file", file, file.name);
  const token = at("token") ? at("token").value.trim() : "";
  // A header takes characters of one byte each: those of the token's UTF-8.
  const bytes = String.fromCharCode(...new TextEncoder().encode(token));
  const headers = token ? { Authorization: `Bearer ${bytes}` } : {};
  const reply = await fetch(route, { method: "POST", body: form, headers });
  const found = await reply.json();
  if (!reply.ok) throw new Error(found.hint ? `${found.error} (${found.hint})` : found.error);
  return found;
}

// --- results --------------------------------------------------------------------------------------

function showClasses(found) {
  at("seen").textContent = found.views === "1x1" ? "From the middle of the clip" : `From ${found.views} views of the clip`;
  at("classes").replaceChildren();
  for (const each of found.top) {
    const row = add(at("classes"), "li", "");
    add(row, "div", "", "fill").style.width = `${100 * each.prob}%`;
    add(row, "span", each.label).dir = "auto";
    add(row, "span", `${(100 * each.prob).toFixed(2)} %`, "share");
  }
  at("notes").replaceChildren();
  for (const note of found.notes) add(at("notes"), "p", note, "hint");
}

function showTimeline(found) {
  const lanes = at("lanes");
  lanes.replaceChildren();
  const head = add(lanes, "div", "", "playhead");
  head.dataset.playhead = "";
  const length = Math.max(found.duration, 0.001);
  const byClass = new Map();
  for (const each of found.segments) byClass.set(each.index, [...(byClass.get(each.index) || []), each]);
  for (const [index, segments] of byClass) {
    const lane = add(lanes, "div", "", "lane");
    lane.style.setProperty("--hue", ((index * 137.508) % 360).toFixed(0));
    add(lane, "span", segments[0].label, "name").dir = "auto";
    const track = add(lane, "div", "", "track");
    for (const each of segments) place(track, each, "button", found.start, length);
  }
  if (found.gaps.length) {
    const lane = add(lanes, "div", "", "lane");
    add(lane, "span", "not decodable", "name");
    const track = add(lane, "div", "", "track");
    for (const gap of found.gaps) place(track, gap, "div", found.start, length);
  }
  const axis = add(lanes, "div", "", "lane", "axis");
  add(axis, "span", "", "name");
  const track = add(axis, "div", "", "track");
  for (let tick = 0; tick < 5; tick++) {
    add(track, "span", clock(found.start + (length * tick) / 4)).style.left = `${25 * tick}%`;
  }
  lanes.dataset.start = found.start;
  lanes.dataset.length = length;
  lanes.hidden = false;
  if (!found.segments.length) add(at("notes"), "p", "No class lasts long enough for the timeline.", "hint");
  movePlayhead();
}

function place(track, each, kind, start, length) {
  const made = add(track, kind, "", kind === "button" ? "segment" : "gap");
  made.style.left = `${(100 * (each.start - start)) / length}%`;
  made.style.width = `${(100 * (each.end - each.start)) / length}%`;
  const times = `${clock(each.start)} to ${clock(each.end)}`;
  made.title = each.label ? `${each.label}, ${times}, ${(100 * each.mean).toFixed(1)} %` : `${times}: ${each.reason}`;
  if (kind !== "button") return;
  made.type = "button";
  made.setAttribute("aria-label", made.title);
  made.addEventListener("click", () => {
    at("player").currentTime = each.start;
    at("player").play().catch(() => {});
  });
}

function movePlayhead() {
  const head = document.querySelector("[data-playhead]");
  const axis = document.querySelector(".axis .track");
  if (!head || !axis) return;
  const share = (at("player").currentTime - at("lanes").dataset.start) / at("lanes").dataset.length;
  head.style.left = `${axis.offsetLeft + Math.min(Math.max(share, 0), 1) * axis.offsetWidth}px`;
}

function play(file) {
  const player = at("player");
  if (player.src) URL.revokeObjectURL(player.src);
  player.hidden = false;
  player.src = URL.createObjectURL(file);
  player.onerror = () => { player.hidden = true; }; // a format that the browser does not know
}

async function send(file) {
  const own = ++turn;
  at("result").hidden = true;
  at("lanes").hidden = true;
  say(`${file.name}: sent, waiting for the answer`);
  try {
    const found = await ask("predict", file);
    if (own !== turn) return;
    at("name").textContent = found.path;
    at("result").hidden = false;
    play(file);
    showClasses(found);
    if (found.fps && found.frames / found.fps >= LONG) {
      say("The timeline is being computed");
      const timeline = await ask("timeline", file);
      if (own !== turn) return;
      showTimeline(timeline);
    }
    say("Done");
  } catch (error) {
    if (own === turn) say("", `${file.name}: ${error.message}`);
  }
}

// --- camera ---------------------------------------------------------------------------------------

async function record() {
  if (!navigator.mediaDevices || !window.MediaRecorder) {
    say("", "The browser gives the camera to pages of https:// or of this machine only.");
    return;
  }
  at("camera").disabled = true;
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: true });
    try {
      const recorder = new MediaRecorder(stream);
      const parts = [];
      recorder.ondataavailable = (event) => parts.push(event.data);
      const stopped = new Promise((resolve) => { recorder.onstop = resolve; });
      recorder.start();
      say("Recording");
      await new Promise((resolve) => setTimeout(resolve, RECORDED));
      recorder.stop();
      await stopped;
      const suffix = recorder.mimeType.includes("mp4") ? "mp4" : "webm";
      await send(new File(parts, `camera.${suffix}`, { type: recorder.mimeType }));
    } finally {
      for (const track of stream.getTracks()) track.stop();
    }
  } catch (error) {
    say("", `The camera cannot be used: ${error.message}`);
  } finally {
    at("camera").disabled = false;
  }
}

// --- choosing -------------------------------------------------------------------------------------

at("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  event.target.value = ""; // the same file may be chosen again
  if (file) send(file);
});
at("camera").addEventListener("click", record);
at("player").addEventListener("timeupdate", movePlayhead);
window.addEventListener("resize", movePlayhead);
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
  });
}
