// Who owns how much of all keys: the outer ring is now, the inner one what another list of shards would make of it.

import { colour, drawn, element, fill } from "./elements.js";

let chosen = null; // a number of shards to compare with; null is the roll under way, or nothing
let shown = "";

export async function showRing(state, ask) {
  const names = state.shards.map((shard) => shard.name).join(" ");
  const epochs = `${state.epoch} ${state.earlier.length} ${names} ${chosen}`;
  offer(state, ask);
  if (epochs === shown) return;
  const found = await ask(chosen === null ? "/api/ring" : `/api/ring?shards=${chosen}`);
  if (found === null) return;
  shown = epochs;
  draw(found);
}

function offer(state, ask) {
  const now = state.shards.length;
  const others = state.can_preview ? [now - 1, now + 1].filter((number) => number > 0) : [];
  const rolling = state.earlier.length > 0;
  const choices = [[null, rolling ? "The roll under way" : "Now"], ...others.map((number) => [number, `${now} → ${number}`])];
  if (chosen !== null && !others.includes(chosen)) chosen = null;
  fill("choices", ...choices.map(([number, words]) => {
    const pressed = String(number === chosen);
    return element("button", { type: "button", "data-shards": number ?? "now", "aria-pressed": pressed }, words);
  }));
  document.getElementById("choices").onclick = (event) => {
    const number = event.target.dataset?.shards;
    if (number === undefined) return;
    chosen = number === "now" ? null : Number(number);
    showRing(state, ask);
  };
}

function draw(found) {
  const names = [...new Set([...found.before, ...found.after])];
  const same = found.moved === 0;
  const arcs = [];
  let at = 0;
  for (const part of found.parts) {
    const end = at + part.share;
    const title = part.from === part.to ? `${part.from} keeps ${percent(part.share)}`
      : `${percent(part.share)} of all keys moves from ${part.from} to ${part.to}`;
    arcs.push(drawn("g", {}, drawn("title", {}, title),
      arc(92, 22, at, end, colour(names, part.from)),
      same ? null : arc(64, 22, at, end, `${colour(names, part.to)}${part.from === part.to ? "" : " moved"}`)));
    at = end;
  }
  fill("drawing", ...arcs,
    drawn("text", { y: 2 }, same ? String(found.after.length) : percent(found.moved)),
    drawn("text", { y: 17, class: "under" }, same ? (found.after.length === 1 ? "shard" : "shards") : "moves"));
  fill("ring-words", same ? "Each shard owns the keys that its name draws. A failover moves none."
    : `From ${found.before.length} to ${found.after.length}: ${percent(found.moved)} of all keys moves, and nothing else. `
      + "Outside is who owns them before, inside after; what moves is dashed.");
  fill("legend", ...names.map((name) => {
    const before = share(found.parts, "from", name), after = share(found.parts, "to", name);
    const words = same ? percent(after, 1) : `${percent(before, 1)} → ${percent(after, 1)}`;
    return element("li", { class: colour(names, name) }, name, element("span", {}, words));
  }));
}

function arc(radius, width, from, to, classes) {
  const gap = to - from > 0.02 ? 0.003 : 0;
  const [x1, y1] = point(radius, from + gap), [x2, y2] = point(radius, Math.min(to, from + 0.9999) - gap);
  const large = to - from > 0.5 ? 1 : 0;
  const path = `M${x1} ${y1}A${radius} ${radius} 0 ${large} 1 ${x2} ${y2}`;
  return drawn("path", { d: path, "stroke-width": width, class: classes });
}

function point(radius, share) {
  const angle = share * 2 * Math.PI - Math.PI / 2;
  return [(radius * Math.cos(angle)).toFixed(2), (radius * Math.sin(angle)).toFixed(2)];
}

function share(parts, side, name) {
  return parts.filter((part) => part[side] === name).reduce((sum, part) => sum + part.share, 0);
}

function percent(value, digits = 0) {
  return `${(value * 100).toFixed(digits)} %`;
}
