// The newest traces, and one of them as a waterfall. The one that is shown stands in the address: #trace=…

import { colour, element, fill } from "./elements.js";

const ID = /[0-9a-f]{32}/;
const LATE_SPANS_MS = 1500;

let open = "";
let known = "";
let again = null;

export async function showRecent(ask) {
  const found = await ask("/api/traces");
  if (found === null) return;
  if (!found.traces.length) {
    const why = found.kept ? "None yet: send a message through the gateway."
      : "No process keeps spans: set telemetry.recentSpans in the resource.";
    fill("recent", element("li", {}, element("p", { class: "none" }, why)));
    return;
  }
  fill("recent", ...found.traces.map((trace) => element("li", {}, line(trace))));
}

export function watchAddress(ask) {
  const follow = () => {
    const id = new URLSearchParams(location.hash.slice(1)).get("trace");
    if (id) show(id, ask);
  };
  addEventListener("hashchange", follow);
  follow();
  document.getElementById("search").addEventListener("submit", (event) => {
    event.preventDefault();
    const id = ID.exec(document.getElementById("trace-id").value.toLowerCase())?.[0];
    say(id ? "" : "A trace id has 32 hexadecimal digits.");
    if (!id) return;
    if (location.hash === `#trace=${id}`) follow(); else location.hash = `trace=${id}`;
  });
}

async function show(id, ask) {
  if (!ID.test(id)) return say("A trace id has 32 hexadecimal digits.");
  clearTimeout(again);
  if (id !== open) known = "";
  open = id;
  document.getElementById("trace-id").value = id;
  for (const link of document.querySelectorAll("#recent a")) mark(link);
  const found = await ask(`/api/traces?trace_id=${id}`);
  if (found === null || id !== open) return;
  const spans = found.pages.flatMap((page) => page.spans.map((span) => ({ ...span, process: page.process ?? "?" })));
  if (!spans.length) {
    fill("waterfall");
    return say("No process keeps a span of this trace: it was not traced, or is forgotten.");
  }
  say("");
  const now = spans.map((span) => span.span_id).sort().join();
  if (now !== known) {
    const kept = opened();
    fill("waterfall", ...tables(spans));
    reopen(kept);
    for (const bar of document.querySelectorAll(".bar")) place(bar);
    // More may be on its way, from other processes.
    again = setTimeout(show, LATE_SPANS_MS, id, ask);
  }
  known = now;
}

// A span that comes late makes all rows anew: what somebody has opened stays open, and the keyboard stays where it is.
function opened() {
  const ids = [...document.querySelectorAll("#waterfall details[open]")].map((row) => row.dataset.span);
  return { ids: new Set(ids), focused: document.activeElement?.closest("#waterfall details")?.dataset.span };
}

function reopen({ ids, focused }) {
  for (const row of document.querySelectorAll("#waterfall details")) {
    row.open = ids.has(row.dataset.span);
    if (row.dataset.span === focused) row.querySelector("summary").focus({ preventScroll: true });
  }
}

function say(words) {
  document.getElementById("search-said").textContent = words;
}

function line(trace) {
  const when = new Date(trace.start_ms).toLocaleTimeString();
  const notes = [when, `${trace.spans} spans`, trace.processes === 1 ? "1 process" : `${trace.processes} processes`];
  if (trace.replayed) notes.push("replayed");
  const link = element(
    "a", { href: `#trace=${trace.trace_id}` },
    element("b", { class: trace.failed ? "failed" : null }, trace.name),
    element("span", { class: "took" }, milliseconds(trace.took_ms)),
    element("small", {}, notes.join(" · ")),
    element("small", { class: "failed" }, trace.failed ? "failed" : ""),
  );
  mark(link);
  return link;
}

function mark(link) {
  if (link.getAttribute("href") === `#trace=${open}`) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
}

function tables(spans) {
  spans.sort((one, two) => one.start_ns - two.start_ns || two.end_ns - one.end_ns);
  const ids = new Set(spans.map((span) => span.span_id));
  const processes = [...new Set(spans.map((span) => span.process))].sort();
  const below = new Map();
  for (const span of spans) {
    const parent = ids.has(span.parent_id) ? span.parent_id : "";
    below.set(parent, [...(below.get(parent) ?? []), span]);
  }
  const heading = element("h3", {}, "Trace ", element("span", { class: "mono" }, open));
  return [heading, ...(below.get("") ?? []).map((root) => table(root, below, processes))];
}

function table(root, below, processes) {
  const rows = [];
  const walk = (span, depth) => {
    rows.push([span, depth]);
    if (depth < 100) for (const child of below.get(span.span_id) ?? []) walk(child, depth + 1);
  };
  walk(root, 0);
  const began = Math.min(...rows.map(([span]) => span.start_ns));
  const ended = Math.max(...rows.map(([span]) => span.end_ns));
  const many = rows.length === 1 ? "1 span" : `${rows.length} spans`;
  return element(
    "div", { class: "fall" },
    element("p", { class: "none" }, `${root.name}: ${milliseconds((ended - began) / 1e6)}, ${many}`),
    ...rows.map(([span, depth]) => row(span, depth, began, Math.max(ended - began, 1), processes)),
  );
}

function row(span, depth, began, whole, processes) {
  const took = (span.end_ns - span.start_ns) / 1e6;
  const facts = Object.entries(span.attributes).concat(span.events.map(([name, at]) => [
    name, `after ${milliseconds((at - span.start_ns) / 1e6)}`]));
  return element(
    "details", { class: `row ${colour(processes, span.process)}${span.is_failed ? " failed" : ""}`, "data-span": span.span_id },
    element(
      "summary", {},
      element("span", { class: "what", "data-depth": depth }, note(span)),
      element("span", { class: "process" }, short(span.process)),
      element("span", { class: "track" }, element("span", {
        class: "bar", "data-left": (span.start_ns - began) / whole, "data-width": (span.end_ns - span.start_ns) / whole,
      })),
      element("span", { class: "took" }, milliseconds(took)),
    ),
    element("dl", {}, ...[["process", span.process], ["kind", span.kind], ["began", `after ${milliseconds((span.start_ns - began) / 1e6)}`], ...facts]
      .flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, String(value))])),
  );
}

function note(span) {
  const said = span.attributes;
  const words = [span.name];
  if ("realtime_gateway.fan_out" in said) words.push(`→ ${said["realtime_gateway.fan_out"]}`);
  if ("realtime_gateway.members" in said) words.push(`${said["realtime_gateway.members"]} members`);
  if ("realtime_gateway.sockets" in said) words.push(`→ ${said["realtime_gateway.sockets"]} sockets`);
  if (said["realtime_gateway.replayed"]) words.push("replayed");
  if (said["realtime_gateway.duplicates"]) words.push("seen before");
  if (said["error.type"]) words.push(said["error.type"]);
  return words.join(" ");
}

// By the object model: the page's policy allows no style that stands in the page.
function place(bar) {
  bar.style.left = `${Math.min(Number(bar.dataset.left) * 100, 99.4)}%`;
  bar.style.width = `${Math.min(Number(bar.dataset.width), 1 - Number(bar.dataset.left)) * 100}%`;
  const what = bar.closest("summary").querySelector(".what");
  what.style.paddingInlineStart = `${Math.min(Number(what.dataset.depth), 12) * 0.8}rem`;
}

function short(process) {
  const run = `${document.getElementById("name").textContent}-`;
  return process.startsWith(run) ? process.slice(run.length) : process;
}

function milliseconds(value) {
  return value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value.toFixed(value < 10 ? 2 : 1)} ms`;
}
