// The picture of a page with boxes over it. Boxes are 0..1 of the picture, in an SVG stretched over the image, so that
// picture and boxes are one thing at any zoom.

import { SVG, ask, button, el, percent } from "docfleet-console/dom.js";

const STEPS = [160, 480, 960, 1600, 2600, 4200];
const AGAIN = 3000;
const ZOOMS = [0.25, 0.33, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 2.5, 3, 4, 6];
export const LAYERS = { blocks: "Blocks", paragraphs: "Paragraphs", lines: "Lines", tokens: "Words", tables: "Tables", fields: "Fields" };
const LEVELS = [[0.98, "98 % and more"], [0.9, "90 to 98 %"], [0.75, "75 to 90 %"], [0, "below 75 %"]];

export function level(confidence) {
  if (confidence === null || confidence === undefined) return "none";
  return String(LEVELS.findIndex(([least]) => confidence >= least));
}

/** key -> { layer, corners, confidence, start, end, label } of everything on a page that has a place. */
export function placed(view) {
  const found = new Map();
  const add = (layer, key, corners, confidence, start, end, label) => {
    if (corners && corners.length >= 6) found.set(key, { layer, key, corners, confidence, start, end, label });
  };
  for (const layer of ["blocks", "paragraphs", "lines", "tokens"])
    view[layer].forEach(([corners, confidence, start, end], at) => add(layer, `${layer}:${at}`, corners, confidence, start, end));
  view.tables.forEach((table, at) => {
    add("tables", `tables:${at}`, table.box, table.confidence);
    table.rows.forEach((row, y) =>
      row.forEach((cell, x) => add("tables", `tables:${at}:${y}:${x}`, cell.box, cell.confidence, undefined, undefined, cell.text)),
    );
  });
  view.fields.forEach((field, at) => {
    add("fields", `fields:${at}:name`, field.name_box, field.confidence, undefined, undefined, field.name);
    add("fields", `fields:${at}:value`, field.value_box, field.confidence, undefined, undefined, `${field.name} ${field.value}`);
  });
  view.barcodes.forEach((code, at) => add("fields", `barcodes:${at}`, code.box, null, undefined, undefined, code.value));
  view.marks.forEach((mark, at) => add("fields", `marks:${at}`, mark.box, mark.confidence, undefined, undefined, mark.type));
  return found;
}

/** Degrees clockwise after which most of the words stand upright: a receipt that was scanned lying is shown standing. */
export function toBeUpright(tokens, ratio) {
  const votes = [0, 0, 0, 0];
  for (const [corners, , start, end] of tokens) {
    if (corners.length < 4 || end - start < 3) continue; // the way of a short word is a guess
    const way = Math.atan2((corners[3] - corners[1]) * ratio, corners[2] - corners[0]);
    votes[(Math.round(way / (Math.PI / 2)) + 4) % 4] += end - start;
  }
  const most = votes.indexOf(Math.max(...votes));
  const all = votes.reduce((a, b) => a + b);
  return all && votes[most] > all * 0.6 ? (360 - most * 90) % 360 : 0;
}

function polygon(item, cls) {
  const shape = document.createElementNS(SVG, "polygon");
  const points = [];
  for (let at = 0; at < item.corners.length; at += 2) points.push(`${item.corners[at]},${item.corners[at + 1]}`);
  shape.setAttribute("points", points.join(" "));
  shape.setAttribute("class", cls);
  shape.setAttribute("data-key", item.key);
  shape.setAttribute("data-level", level(item.confidence));
  return shape;
}

export class Stage {
  /** `tell(event, key)`: "hover" (null when nothing is), "pick". */
  constructor(tell) {
    this.tell = tell;
    this.items = new Map();
    this.shown = new Set(["tokens"]);
    this.zoom = "width";
    this.turned = 0; // degrees clockwise
    this.ratio = Math.SQRT2;
    this.picture = null;
    this.wanted = "";
    this.image = el("img", { alt: "", draggable: false, class: "df-picture" });
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("viewBox", "0 0 1 1");
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.setAttribute("aria-hidden", "true");
    this.paper = el("div", { class: "df-paper" }, this.image, this.svg);
    this.sheet = el("div", { class: "df-sheet" }, this.paper);
    this.note = el("div", { class: "df-note", role: "status" });
    this.view = el("div", { class: "df-view", tabIndex: 0, role: "region", "aria-label": "Picture of the page" }, this.sheet);
    this.bar = this.makeBar();
    this.root = el("section", { class: "df-stage", "aria-label": "Page" }, this.bar, this.note, this.view);
    this.listen();
    this.resizer = new ResizeObserver(() => this.layOut());
    this.resizer.observe(this.view);
  }

  makeBar() {
    this.percentage = el("output", { class: "df-zoom", "aria-label": "Zoom" });
    const layers = Object.entries(LAYERS).map(([layer, name]) =>
      el("label", { class: "df-layer", "data-layer": layer },
        el("input", { type: "checkbox", checked: this.shown.has(layer), on: { change: (e) => this.toggle(layer, e.target.checked) } }),
        el("span", {}, name)),
    );
    this.colours = el("input", { type: "checkbox", on: { change: () => this.root.classList.toggle("df-by-confidence", this.colours.checked) } });
    const legend = el("span", { class: "df-legend" }, ...LEVELS.map(([, name], at) => el("span", { "data-level": String(at) }, name)));
    return el("div", { class: "df-bar", role: "toolbar", "aria-label": "Picture" },
      el("span", { class: "df-group" },
        button("−", "Smaller (−)", () => this.step(-1)), this.percentage, button("+", "Larger (+)", () => this.step(1)),
        button("↔", "Fit the width (0)", () => this.setZoom("width")), button("⤢", "Fit the page (9)", () => this.setZoom("page")),
        button("↻", "Turn (r)", () => this.turn(90))),
      el("span", { class: "df-group", role: "group", "aria-label": "Show boxes of" }, ...layers),
      el("span", { class: "df-group" },
        el("label", { class: "df-layer" }, this.colours, el("span", {}, "Colour by confidence")), legend));
  }

  listen() {
    const keyAt = (event) => event.target.closest?.("[data-key]")?.getAttribute("data-key") || null;
    this.svg.addEventListener("pointerover", (event) => this.tell("hover", keyAt(event)));
    this.svg.addEventListener("pointerleave", () => this.tell("hover", null));
    this.svg.addEventListener("click", (event) => !this.dragged && keyAt(event) && this.tell("pick", keyAt(event)));
    this.view.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoomAt(this.scale() * Math.exp(-event.deltaY / 300), event.clientX, event.clientY);
    }, { passive: false });
    this.listenToPointers();
  }

  /** What a key does with the picture, if anything. */
  actOf(key) {
    return { "+": () => this.step(1), "=": () => this.step(1), "-": () => this.step(-1), 0: () => this.setZoom("width"), 9: () => this.setZoom("page"), r: () => this.turn(90) }[key];
  }

  /** One pointer pans, two zoom. */
  listenToPointers() {
    const down = new Map();
    let start = null;
    const spread = () => {
      const [a, b] = [...down.values()];
      return { distance: Math.hypot(a.x - b.x, a.y - b.y) || 1, x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
    };
    this.view.addEventListener("pointerdown", (event) => {
      down.set(event.pointerId, { x: event.clientX, y: event.clientY });
      this.dragged = false;
      if (down.size === 2) start = { ...spread(), scale: this.scale() };
      else if (event.pointerType === "mouse" && event.button === 0 && event.target.closest(".df-sheet")) start = { pan: true };
    });
    this.view.addEventListener("pointermove", (event) => {
      const before = down.get(event.pointerId);
      if (!before) return;
      down.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (down.size === 2 && start?.distance) {
        const now = spread();
        this.zoomAt((start.scale * now.distance) / start.distance, now.x, now.y);
      } else if (start?.pan) {
        const [dx, dy] = [event.clientX - before.x, event.clientY - before.y];
        if (!this.dragged && Math.hypot(dx, dy) < 3) {
          down.set(event.pointerId, before);
          return;
        }
        this.dragged = true;
        this.view.classList.add("df-panning");
        this.view.scrollBy(-dx, -dy);
      }
    });
    const up = (event) => {
      down.delete(event.pointerId);
      start = null;
      this.view.classList.remove("df-panning");
    };
    for (const name of ["pointerup", "pointercancel", "pointerleave"]) this.view.addEventListener(name, up);
  }

  // --- zoom

  scale() {
    return this.sheet.clientWidth / this.fitWidth();
  }

  fitWidth() {
    return Math.max(120, this.view.clientWidth - 24);
  }

  step(by) {
    const now = this.scale();
    const next = by > 0 ? ZOOMS.find((zoom) => zoom > now * 1.02) : ZOOMS.findLast((zoom) => zoom < now * 0.98);
    const box = this.view.getBoundingClientRect();
    this.zoomAt(next || now, box.left + box.width / 2, box.top + box.height / 3);
  }

  setZoom(zoom) {
    this.zoom = zoom;
    this.layOut();
  }

  zoomAt(scale, x, y) {
    const before = this.sheet.getBoundingClientRect();
    const [fx, fy] = [(x - before.left) / before.width, (y - before.top) / before.height];
    this.zoom = Math.min(ZOOMS.at(-1), Math.max(ZOOMS[0], scale));
    this.layOut();
    const after = this.sheet.getBoundingClientRect();
    this.view.scrollBy(after.left + fx * after.width - x, after.top + fy * after.height - y);
  }

  turn(by) {
    this.turned = (this.turned + by) % 360;
    this.layOut();
  }

  layOut() {
    const lies = this.turned % 180 !== 0;
    const ratio = lies ? 1 / this.ratio : this.ratio;
    let width = this.fitWidth() * (typeof this.zoom === "number" ? this.zoom : 1);
    if (this.zoom === "page") width = Math.min(width, Math.max(120, this.view.clientHeight - 24) / ratio);
    const [across, down] = [Math.round(width), Math.round(width * ratio)];
    Object.assign(this.sheet.style, { width: `${across}px`, height: `${down}px` });
    Object.assign(this.paper.style, { width: `${lies ? down : across}px`, height: `${lies ? across : down}px`, transform: `translate(-50%, -50%) rotate(${this.turned}deg)` });
    this.percentage.textContent = `${Math.round((width / this.fitWidth()) * 100)} %`;
    this.loadPicture();
  }

  // --- what is shown

  /** `pictureUrl(width)`: address of the picture; null: there is none. */
  show(view, pictureUrl, label) {
    this.items = view ? placed(view) : new Map();
    this.pictureUrl = pictureUrl;
    this.picture = null;
    this.image.removeAttribute("src");
    this.image.alt = label;
    this.view.setAttribute("aria-label", label);
    this.say("");
    if (view?.width && view?.height) this.ratio = view.height / view.width;
    this.turned = view ? toBeUpright(view.tokens, this.ratio) : 0;
    this.root.classList.toggle("df-bare", !this.items.size);
    for (const label of this.bar.querySelectorAll("[data-layer]")) {
      const layer = label.getAttribute("data-layer");
      label.hidden = ![...this.items.values()].some((item) => item.layer === layer);
    }
    this.draw();
    this.view.scrollTo(0, 0);
    this.layOut();
  }

  say(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  toggle(layer, on) {
    if (on) this.shown.add(layer);
    else this.shown.delete(layer);
    this.draw();
  }

  draw() {
    const groups = Object.keys(LAYERS).filter((layer) => this.shown.has(layer)).map((layer) => {
      const group = document.createElementNS(SVG, "g");
      group.setAttribute("data-layer", layer);
      for (const item of this.items.values()) if (item.layer === layer) group.append(polygon(item, "df-box"));
      return group;
    });
    this.lit = document.createElementNS(SVG, "g");
    this.lit.setAttribute("class", "df-lit");
    this.svg.replaceChildren(...groups, this.lit);
  }

  /** Lights these keys and no other. */
  light(keys, bringIntoView = false) {
    const items = keys.map((key) => this.items.get(key)).filter(Boolean);
    this.lit?.replaceChildren(...items.map((item) => polygon(item, "df-box df-on")));
    if (bringIntoView && items.length) {
      const box = this.lit.firstChild.getBoundingClientRect();
      const view = this.view.getBoundingClientRect();
      const outside = box.top < view.top || box.bottom > view.bottom || box.left < view.left || box.right > view.right;
      if (outside) this.view.scrollBy({ left: box.left - view.left - view.width / 3, top: box.top - view.top - view.height / 3, behavior: "smooth" });
    }
  }

  describe(key) {
    const item = this.items.get(key);
    return item ? `${item.label ? `${item.label}, ` : ""}confidence ${percent(item.confidence)}` : "";
  }

  // --- the picture

  loadPicture() {
    if (!this.pictureUrl || !this.view.clientWidth) return;
    const pixels = this.paper.clientWidth * (window.devicePixelRatio || 1);
    const width = STEPS.find((step) => step >= pixels * 0.9) || STEPS.at(-1);
    if (this.picture && this.picture >= width) return;
    const url = this.pictureUrl(width);
    if (this.wanted === url) return;
    this.wanted = url;
    this.root.setAttribute("data-picture", "loading");
    const next = new Image();
    next.onload = () => {
      if (this.wanted !== url) return;
      this.wanted = "";
      this.picture = width;
      // what is loaded is shown itself: asked for again it would be sent again, since nothing keeps it
      next.className = "df-picture";
      next.alt = this.image.alt;
      next.draggable = false;
      this.image.replaceWith(next);
      this.image = next;
      const ratio = next.naturalHeight / next.naturalWidth;
      if (Math.abs(ratio - this.ratio) > 0.002) {
        this.ratio = ratio;
        this.layOut();
      }
      this.root.setAttribute("data-picture", "shown");
    };
    next.onerror = () => this.wanted === url && this.explain(url);
    next.src = url;
  }

  /** An image does not tell why it is none; asking again does. */
  async explain(url) {
    const again = () => {
      if (this.wanted !== url) return;
      this.wanted = "";
      this.say("");
      this.loadPicture();
    };
    try {
      await ask(url);
      if (this.wanted === url) setTimeout(again, AGAIN); // it is there now
    } catch (problem) {
      if (this.wanted !== url) return;
      this.root.setAttribute("data-picture", "none");
      this.say(problem.message);
      if ([0, 429, 502, 503, 504].includes(problem.status)) setTimeout(again, AGAIN);
    }
  }

  destroy() {
    this.resizer.disconnect();
    this.wanted = "";
  }
}
