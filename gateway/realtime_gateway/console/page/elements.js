// Making elements: text is always text, whatever processes tell, and nothing is written as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Return an element with attributes, and children that are elements or text; what is null is left out. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same for a drawing. */
export function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

/** Replace the children of the element with an id, unless they would look the same; focus stays where it is. */
export function fill(id, ...children) {
  const place = document.getElementById(id);
  const made = element("div", {}, ...children);
  if (place.innerHTML === made.innerHTML) return;
  const focused = place.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  place.replaceChildren(...made.childNodes);
  if (focused !== null) [...place.querySelectorAll("a, button")].find((one) => nameOf(one) === focused)?.focus();
}

function nameOf(control) {
  return control.getAttribute("href") ?? control.dataset.shards ?? "";
}

/** Which of the eight colours stands for a name among others. */
export function colour(names, name) {
  return `c${Math.max(0, names.indexOf(name)) % 8}`;
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}
