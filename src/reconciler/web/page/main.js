// Joins the stream, the model and what shows it; and listens to the person.

import { Announcer } from "./announce.js";
import { Details } from "./details.js";
import { Frames } from "./frames.js";
import { Model } from "./model.js";
import { Rows } from "./rows.js";
import { Status } from "./status.js";
import { Stream } from "./stream.js";
import { Timeline } from "./timeline.js";
import { KINDS, STATES, clock, place, span } from "./words.js";

const byId = (id) => document.getElementById(id);
const model = new Model();
const wanted = { words: [], states: new Set(STATES.filter((state) => state !== "free")), kinds: "all" };

// --- What is kept of the person's choices ---------------------------------------------------

function kept(name) {
  try {
    return localStorage.getItem(`reconciler.${name}`);
  } catch {
    return null; // a browser may forbid storage
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(`reconciler.${name}`, value);
  } catch {
    // then it is forgotten at the next visit
  }
}

// --- What is shown --------------------------------------------------------------------------

function rowText({ fields, slot, group }) {
  return [slot, group.backend, `${group.backend}/${slot}`, fields.state, fields.container, fields.container_id,
    fields.service, fields.project, place(fields), fields.check, fields.held ? "held" : ""].join("\n").toLowerCase();
}

function isRowShown(row) {
  if (!wanted.states.has(row.fields.state)) return false;
  if (!wanted.words.length) return true;
  row.text ??= rowText(row);
  return wanted.words.every((word) => row.text.includes(word));
}

function isEntryShown(entry) {
  if (wanted.kinds !== "all" && (KINDS[entry.kind]?.[1] ?? "slots") !== wanted.kinds) return false;
  if (!wanted.words.length) return true;
  const text = Object.values(entry).join("\n").toLowerCase();
  return wanted.words.every((word) => text.includes(word));
}

const filter = { isShown: isRowShown, isNarrow: () => wanted.words.length > 0 };
const rows = new Rows(model, byId("backends"), filter, (row) => details.open(row));
const details = new Details(model, byId("details"), (row) => (rows.button(row) ?? byId("map")).focus());
const timeline = new Timeline(byId("timeline"), byId("timeline-none"), isEntryShown);
const status = new Status(model);
const announcer = new Announcer(byId("said"));
let areEntriesDirty = true;

const stateButtons = new Map(STATES.map((state) => {
  const button = document.createElement("button");
  const glyph = document.createElement("span");
  const number = document.createElement("b");
  button.type = "button";
  button.dataset.state = state;
  glyph.className = "glyph";
  glyph.setAttribute("aria-hidden", "true");
  number.textContent = "0";
  button.append(glyph, number, ` ${state}`);
  button.setAttribute("aria-pressed", String(wanted.states.has(state)));
  button.addEventListener("click", () => {
    const isOn = !wanted.states.delete(state);
    if (isOn) wanted.states.add(state);
    button.setAttribute("aria-pressed", String(isOn));
    filterAgain();
  });
  byId("states").append(button);
  return [state, number];
}));

const frames = new Frames((isOver) => {
  const isMore = rows.paint(isOver);
  paintTotals();
  if (model.isSmallDirty) {
    model.isSmallDirty = false;
    status.paint();
  }
  if (areEntriesDirty) {
    areEntriesDirty = false;
    timeline.show(model.entries);
  }
  details.paint();
  if (!isMore && model.isWhole && !document.documentElement.dataset.painted) {
    document.documentElement.dataset.painted = "true";
    performance.mark("painted");
  }
  return isMore;
});

function paintTotals() {
  const totals = model.totals();
  for (const [state, number] of stateButtons) {
    const text = String(totals[state] ?? 0);
    if (number.textContent !== text) number.textContent = text;
  }
  const nothing = byId("nothing");
  nothing.hidden = model.rows.size > 0;
  nothing.textContent = model.isWhole ? "No HAProxy has a backend with slots." : "Waiting for the map…";
}

/** The title is painted at once: a tab in the background has no frames. */
function paintTitle() {
  const troubles = model.troubles();
  const title = !stream.isLive ? "Slot map (not live)" : troubles ? `(${troubles}) Slot map` : "Slot map";
  if (document.title !== title) document.title = title;
}

function filterAgain() {
  rows.touchAll();
  areEntriesDirty = true;
  frames.ask();
}

// --- The stream -----------------------------------------------------------------------------

const stream = new Stream("api/live", (name, told) => {
  if (name === "map") {
    const isFirst = model.daemon === null;
    const fresh = model.begin(told);
    if (!isFirst) announcer.add(fresh);
    areEntriesDirty = true;
  } else if (name === "whole") {
    model.end();
  } else {
    const fresh = model.change(told);
    areEntriesDirty ||= fresh.length > 0;
    announcer.add(fresh);
  }
  if (stream.isLive) paintTitle();
  frames.ask();
}, (isLive) => {
  stream.isLive = isLive;
  paintLive();
  paintTitle();
  frames.ask();
});

function paintLive() {
  const live = byId("live");
  const state = stream.isLive ? "live" : stream.heardAt ? "lost" : "connecting";
  live.dataset.state = state;
  document.documentElement.dataset.live = state;
  const at = stream.heardAt / 1000;
  const age = Date.now() / 1000 - at;
  const text = {
    live: `live, ${clock(at)}`,
    lost: `connection lost ${span(age)} ago: this is the map of ${clock(at)}; trying again`,
    connecting: "connecting",
  }[state];
  if (byId("live-text").textContent !== text) byId("live-text").textContent = text;
  if (live.said !== state && live.said !== undefined) {
    byId("said").textContent = state === "live" ? "Connected again." : "The connection is lost; the map is not live.";
  }
  live.said = state;
}

// --- The person -----------------------------------------------------------------------------

byId("filter").addEventListener("input", (event) => {
  wanted.words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  filterAgain();
});
byId("kinds").addEventListener("change", (event) => {
  wanted.kinds = event.target.value;
  filterAgain();
});

const density = byId("density");
density.value = ["compact", "tiles"].includes(kept("density")) ? kept("density") : "normal";
document.documentElement.dataset.density = density.value;
density.addEventListener("change", () => {
  document.documentElement.dataset.density = density.value;
  keep("density", density.value);
});

const theme = byId("theme");
theme.value = document.documentElement.dataset.theme ?? "system";
theme.addEventListener("change", () => {
  if (theme.value === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
  keep("theme", theme.value);
});

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, select, textarea");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    byId("filter").focus();
  } else if (event.key === "Escape" && details.isOpen) {
    details.close();
  }
});

setInterval(() => {
  paintLive();
  if (document.hidden) return;
  rows.touchAges();
  frames.ask();
}, 1000);
stream.open();
