// Asks who serves it how things stand, again and again while somebody looks, and shows it.

import { element, fill } from "./elements.js";
import { showRing } from "./ring.js";
import { showRates } from "./sparklines.js";
import { showTopology } from "./topology.js";
import { showRecent, watchAddress } from "./traces.js";

const LOOK_MS = 1000;
const TRACES_EVERY = 2;

let looks = 0;
const resource = new URLSearchParams(location.search).get("resource");

/** Return what a page says; null when nobody answers, or what is asked for is refused. */
async function ask(path) {
  try {
    const url = new URL(path, location.href);
    if (resource !== null) url.searchParams.set("resource", resource);
    const answer = await fetch(url, { cache: "no-store" });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

async function look() {
  if (!document.hidden) {
    const state = await ask("/api/state");
    document.getElementById("gone").hidden = state !== null;
    if (state !== null) showResources(state);
    if (state !== null && state.name !== null) await show(state);
  }
  setTimeout(look, LOOK_MS);
}

function showResources(state) {
  const links = state.resources.map((name) => element(
    "a", { href: `?resource=${encodeURIComponent(name)}`, "aria-current": name === state.resource ? "page" : null }, name));
  const place = document.getElementById("resources");
  place.hidden = links.length < 2 && state.name !== null;
  fill("resources", ...links);
  document.querySelector("main").hidden = state.name === null;
  if (state.name !== null) return;
  document.getElementById("summary").textContent = state.resources.length
    ? `There is no RealtimeGateway ${state.resource} any more.` : "There is no RealtimeGateway here yet.";
}

async function show(state) {
  document.getElementById("name").textContent = state.name;
  document.title = `${state.name} · RealtimeGateway`;
  const summary = document.getElementById("summary");
  const ready = state.processes.filter((process) => process.state === "ready").length;
  const words = `${ready} of ${state.processes.length} processes ready · host list epoch ${state.epoch}`
    + (state.earlier.length ? ", a roll is under way" : "");
  fill("summary", words, ...(state.url ? [" · ", element("a", { href: state.url }, state.url)] : []));
  fill("conditions", ...state.conditions.map(condition));
  showRates(state.history);
  showTopology(state);
  await showRing(state, ask);
  if (looks++ % TRACES_EVERY === 0) await showRecent(ask);
}

function condition(one) {
  const good = (one.status === "True") === !["Progressing", "Degraded", "Paused"].includes(one.type);
  return element(
    "li", { class: good ? null : "late" }, element("b", {}, one.type), ` ${one.status}`,
    good && !one.message ? null : element("span", {}, ` ${one.reason}${one.message ? `: ${one.message}` : ""}`),
  );
}

watchAddress(ask);
look();
