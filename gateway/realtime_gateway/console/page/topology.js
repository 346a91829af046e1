// Processes, shards, primaries and replicas, and who is at which epoch.

import { colour, element, fill } from "./elements.js";

const APPLICATION = ["gateway", "worker"];

export function showTopology(state) {
  const byKind = (...kinds) => state.processes.filter((process) => kinds.includes(process.kind));
  fill("application", ...byKind(...APPLICATION).map((process) => node(process, state.epoch)));
  fill("others", ...byKind("sentinel", "cache").map((process) => node(process, state.epoch)));
  const earlier = state.earlier.flatMap((list) => list.shards);
  const running = byKind("redis").map((server) => server.shard);
  const listed = state.shards.map((shard) => shard.name);
  const names = [...new Set([...listed, ...earlier, ...running])];
  fill("shards", ...names.map((name) => shard(name, state, listed, earlier, names)));
}

function node(process, epoch) {
  const facts = [process.role];
  if (process.connections !== null) facts.push(counted(process.connections, "connection"));
  if (process.restarts) facts.push(counted(process.restarts, "restart"));
  if (process.pid !== null) facts.push(`pid ${process.pid}`);
  return element(
    "li", { class: `node ${process.state}` },
    element("b", {}, process.name),
    element("p", {}, facts.join(" · ")),
    element("p", {}, state(process), ...(APPLICATION.includes(process.kind) ? [" · ", epochOf(process, epoch)] : [])),
  );
}

function state(process) {
  return element("span", { class: "state" }, process.note ? `${process.state}: ${process.note}` : process.state);
}

function epochOf(process, epoch) {
  if (process.epoch === null) return "layer not used yet";
  return element("span", { class: process.epoch === epoch ? null : "late" }, `epoch ${process.epoch}`);
}

function shard(name, facts, listed, earlier, names) {
  const servers = facts.processes.filter((process) => process.shard === name);
  servers.sort((one, two) => (one.role === "primary" ? 0 : 1) - (two.role === "primary" ? 0 : 1));
  const what = listed.includes(name) ? null : earlier.includes(name) ? "leaving" : "joining";
  return element(
    "li", { class: `shard ${colour(names, name)}` },
    element("b", {}, name, what ? element("span", { class: "late" }, ` ${what}`) : null),
    ...servers.map(server),
    servers.length ? null : element("p", { class: "none" }, "elsewhere: not of this run"),
  );
}

function server(process) {
  return element(
    "div", { class: `server ${process.role} ${process.state}` },
    element("span", { class: `role ${process.role}` }, process.role),
    element("span", {}, process.name),
    element("span", { class: "mono" }, process.address.replace(/^127\.0\.0\.1:/, "")),
    element("span", { class: "state" }, process.state),
  );
}

function counted(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}
