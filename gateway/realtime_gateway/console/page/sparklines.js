// Connections, and messages a second, over the last two minutes.

import { drawn, element, fill } from "./elements.js";

const TILES = [
  ["connections", "open WebSockets", ""],
  ["received", "from clients", "/s"],
  ["sent", "to clients", "/s"],
  ["published", "stored by shards", "/s"],
  ["delivered", "delivered to members", "/s"],
];
const WIDTH = 200;
const HEIGHT = 40;
const SAMPLES = 120;

export function showRates(history) {
  fill("tiles", ...TILES.map(([name, words, unit]) => tile(history.map((sample) => sample[name]), words, unit)));
}

function tile(values, words, unit) {
  const now = values.at(-1) ?? 0;
  const most = Math.max(...values, 0);
  const label = `${words}: ${short(now)}${unit} now, at most ${short(most)}${unit} in the last ${values.length} seconds`;
  return element(
    "div", { class: "tile" },
    element("p", {}, words),
    element("strong", {}, short(now)), unit,
    drawn(
      "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
      ...lines(values, most),
    ),
  );
}

function lines(values, most) {
  if (values.length < 2) return [];
  const step = WIDTH / (SAMPLES - 1);
  const first = WIDTH - (values.length - 1) * step;
  const points = values.map((value, index) => {
    const y = HEIGHT - 2 - (most ? value / most : 0) * (HEIGHT - 6);
    return `${(first + index * step).toFixed(1)},${y.toFixed(1)}`;
  });
  return [
    drawn("polygon", { class: "area", points: `${first.toFixed(1)},${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}` }),
    drawn("polyline", { class: "stroke", points: points.join(" ") }),
  ];
}

function short(value) {
  if (value >= 10000) return `${(value / 1000).toFixed(0)}k`;
  if (value >= 100 || Number.isInteger(value)) return value.toFixed(0);
  return value.toFixed(1);
}
