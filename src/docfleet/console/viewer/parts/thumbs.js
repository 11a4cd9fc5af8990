// The pages as small pictures; of five hundred only those in sight are there.

import { calmly, el } from "docfleet-console/dom.js";

const HEIGHT = 148;

export class Thumbs {
  /** `pictureUrl(number)`; `choose(number)`. */
  constructor(pictureUrl, choose) {
    this.pictureUrl = pictureUrl;
    this.choose = choose;
    this.pages = [];
    this.current = 1;
    this.made = new Map();
    this.list = el("div", { class: "df-thumb-list", role: "listbox", "aria-label": "Pages" });
    this.root = el("nav", { class: "df-thumbs", "aria-label": "Pages" }, this.list);
    this.draw = calmly(() => this.drawNow(), 60);
    this.root.addEventListener("scroll", this.draw, { passive: true });
    this.resizer = new ResizeObserver(this.draw);
    this.resizer.observe(this.root);
  }

  /** Pages as the service tells them; redrawn only where something changed. */
  set(pages, current) {
    const same = this.pages.length === pages.length;
    this.pages = pages;
    this.list.style.height = `${pages.length * HEIGHT}px`;
    this.root.hidden = pages.length < 2;
    if (!same) this.made.forEach((thumb) => thumb.remove());
    if (!same) this.made.clear();
    this.mark(current);
  }

  mark(current) {
    const moved = current !== this.current;
    this.current = current;
    const top = (current - 1) * HEIGHT;
    if (moved && (top < this.root.scrollTop || top + HEIGHT > this.root.scrollTop + this.root.clientHeight)) this.root.scrollTo({ top: top - HEIGHT });
    this.drawNow();
  }

  drawNow() {
    if (this.root.hidden || !this.root.clientHeight) return;
    const first = Math.max(0, Math.floor(this.root.scrollTop / HEIGHT) - 1);
    const last = Math.min(this.pages.length, first + Math.ceil(this.root.clientHeight / HEIGHT) + 3);
    for (const [number, thumb] of this.made) {
      if (number <= first || number > last) {
        thumb.remove();
        this.made.delete(number);
      }
    }
    for (let at = first; at < last; at += 1) {
      const page = this.pages[at];
      let thumb = this.made.get(page.number);
      if (!thumb) {
        thumb = this.thumb(page);
        this.made.set(page.number, thumb);
        this.list.append(thumb);
      }
      const chosen = page.number === this.current;
      thumb.setAttribute("aria-selected", String(chosen));
      thumb.tabIndex = chosen ? 0 : -1;
      thumb.setAttribute("data-state", ["read", "waiting", "running"].includes(page.state) ? page.state : "failed");
      thumb.title = page.state === "read" ? `Page ${page.number}: ${page.engine}` : `Page ${page.number}: ${page.state}`;
    }
  }

  thumb(page) {
    const image = el("img", { alt: "", loading: "lazy", decoding: "async" });
    image.addEventListener("error", () => image.remove());
    image.src = this.pictureUrl(page.number);
    const made = el("button", { type: "button", role: "option", class: "df-thumb", on: { click: () => this.choose(page.number) } }, image, el("span", {}, String(page.number)));
    made.style.top = `${(page.number - 1) * HEIGHT}px`;
    return made;
  }

  destroy() {
    this.resizer.disconnect();
    this.draw.cancel();
  }
}
