// Asks `realtime-gateway up` how things stand, again and again while somebody looks, and shows it.

import { showRing } from "./ring.js";
import { showRates } from "./sparklines.js";
import { showTopology } from "./topology.js";
import { showRecent, watchAddress } from "./traces.js";

const LOOK_MS = 1000;
const TRACES_EVERY = 2;

let looks = 0;

/** Return what a page says; null when nobody answers, or what is asked for is refused. */
async function ask(path) {
  try {
    const answer = await fetch(path, { cache: "no-store" });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

async function look() {
  if (!document.hidden) {
    const state = await ask("/api/state");
    document.getElementById("gone").hidden = state !== null;
    if (state !== null) await show(state);
  }
  setTimeout(look, LOOK_MS);
}

async function show(state) {
  document.getElementById("name").textContent = state.name;
  document.title = `${state.name} · RealtimeGateway`;
  const summary = document.getElementById("summary");
  const ready = state.processes.filter((process) => process.state === "ready").length;
  const words = `${ready} of ${state.processes.length} processes ready · host list epoch ${state.epoch}`
    + `${state.earlier.length ? ", a roll is under way" : ""} · `;
  if (summary.firstChild?.textContent !== words || !summary.querySelector("a")) {
    const link = document.createElement("a");
    link.href = state.url;
    link.textContent = state.url;
    summary.replaceChildren(words, link);
  }
  showRates(state.history);
  showTopology(state);
  await showRing(state, ask);
  if (looks++ % TRACES_EVERY === 0) await showRecent(ask);
}

watchAddress(ask);
look();
