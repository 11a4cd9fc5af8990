// Documents, the newest or the oldest first, by the cursors of the API. However many there are: rows are fetched as they
// are scrolled to and only those in sight exist; what is in sight is looked at again while the page is shown.

import { askJson, bytes, calmly, el, exactly, moment, money, percent, useStyle } from "docfleet-console/dom.js";

const AT_ONCE = 100;
const AHEAD = 100; // rows below those in sight when more are fetched
const MOST = 100_000; // rows of one list: browsers draw nothing taller than some 33 million pixels
const OPEN = new Set(["received", "running", "assembling"]);
const STATES = { received: "waiting", running: "reading", assembling: "finishing", succeeded: "succeeded", partial: "partial", failed: "failed", cancelled: "cancelled" };

export class DocumentList {
  /** `options`: { url, links, filters, select, seconds }. Emits "selection" with the chosen ids. */
  constructor(root, options, emit) {
    useStyle();
    Object.assign(this, { root, options, emit, chosen: new Set(), rows: new Map(), anchor: 0 });
    this.sizer = el("div", { class: "df-sizer" });
    this.scroller = el("div", { class: "df-list-scroll", role: "rowgroup", tabIndex: 0, "aria-label": "Documents; arrow keys move, Space selects, Enter opens" }, this.sizer);
    this.status = el("div", { class: "df-list-status", role: "status" });
    this.fresh = el("button", { type: "button", class: "df-button df-fresh", hidden: true, on: { click: () => this.scroller.scrollTo({ top: 0 }) } });
    this.all = el("input", { type: "checkbox", "aria-label": "Select all that are loaded", on: { change: () => this.chooseAll(this.all.checked) } });
    root.classList.add("df-list");
    root.setAttribute("role", "grid");
    root.replaceChildren(this.makeHead(), this.scroller, this.fresh, this.status);
    this.draw = calmly(() => this.drawNow(), 40);
    this.scroller.addEventListener("scroll", this.draw, { passive: true });
    this.scroller.addEventListener("keydown", (event) => this.keyed(event));
    this.resizer = new ResizeObserver(this.draw);
    this.resizer.observe(this.scroller);
    this.timer = setInterval(() => this.look(), (options.seconds || 3) * 1000);
    this.reset();
  }

  makeHead() {
    const names = ["Name", "State", "Pages", "Sure", "Price", "Size", "Submitted"];
    const cells = names.map((name) => el("span", { role: "columnheader", class: `df-cell df-${name.toLowerCase()}` }, name));
    const box = this.options.select ? el("span", { role: "columnheader", class: "df-cell df-check" }, this.all) : null;
    return el("div", { class: "df-row df-head", role: "row" }, box, ...cells);
  }

  // --- loading

  reset() {
    this.asking?.abort();
    this.items = [];
    this.known = new Map(); // id -> item
    this.parts = [{ cursor: null, first: null }]; // where each page of the API begins: its cursor, the id of its first item
    this.order = (this.options.filters || []).some(([name, value]) => name === "order" && value === "oldest") ? -1 : 1;
    this.next = "";
    this.lookedUntil = "";
    this.done = false;
    this.asking = null;
    this.chosen.clear();
    this.current = 0;
    this.rows.forEach((row) => row.remove());
    this.rows.clear();
    this.scroller.scrollTo({ top: 0 });
    this.told();
    this.more();
  }

  update(options) {
    const changed = JSON.stringify(options.filters) !== JSON.stringify(this.options.filters) || options.reset !== this.options.reset;
    const look = options.version !== this.options.version;
    this.options = { ...this.options, ...options };
    if (changed) this.reset();
    else if (look) this.look();
  }

  address(cursor) {
    const query = new URLSearchParams(this.options.filters || []);
    query.set("limit", String(AT_ONCE));
    if (cursor) query.set("cursor", cursor);
    return `${this.options.url}?${query}`;
  }

  get full() {
    return this.items.length >= MOST;
  }

  async more() {
    if (this.done || this.asking || this.full) return;
    const asking = (this.asking = new AbortController());
    this.say(this.lookedUntil ? `Looking further: ${this.items.length.toLocaleString()} found up to ${moment(this.lookedUntil)} …` : this.items.length ? "Loading more …" : "Loading …");
    try {
      const found = await askJson(this.address(this.next), asking.signal);
      if (asking.signal.aborted) return;
      this.begin(this.parts.at(-1), found.items);
      this.merge(found.items);
      this.goOn(found);
      this.failed = "";
    } catch (problem) {
      if (problem.name === "AbortError") return;
      this.failed = problem.message;
    }
    this.asking = null;
    this.sayHowMany();
    this.drawNow();
  }

  /** What follows a page: a short one is no end where the service says how far it looked. */
  goOn(found) {
    this.next = found.next_cursor || "";
    this.done = !found.next_cursor;
    this.lookedUntil = found.looked_until || "";
    if (!this.done) this.parts.push({ cursor: found.next_cursor, first: null });
  }

  begin(part, items) {
    if (items.length) part.first = items[0].id;
  }

  /** Whether the first stands above the second: ids sort by time. */
  isAbove(a, b) {
    return this.order > 0 ? a > b : a < b;
  }

  merge(items) {
    const added = [];
    for (const item of items) {
      const known = this.known.get(item.id);
      if (known) Object.assign(known, item);
      else {
        this.known.set(item.id, item);
        added.push(item);
      }
    }
    if (!added.length) return 0;
    const last = this.items.at(-1);
    this.items.push(...added);
    if (last && added.some((item) => this.isAbove(item.id, last.id))) this.items.sort((a, b) => (a.id === b.id ? 0 : this.isAbove(a.id, b.id) ? -1 : 1));
    return added.length;
  }

  /** Looks again at the first, where new ones come in, and at what is in sight and may have changed. */
  async look() {
    if (document.hidden || this.looking || this.asking || !this.root.isConnected) return;
    this.looking = true;
    try {
      const [first, last] = this.inSight();
      const parts = new Set([this.parts[0]]);
      if (this.order < 0 && this.done) parts.add(this.parts.at(-1));
      if (this.items.slice(first, last).some((item) => OPEN.has(item.state))) {
        parts.add(this.partOf(this.items[first]));
        parts.add(this.partOf(this.items[last - 1]));
      }
      for (const part of parts) await this.lookAt(part);
      this.failed = "";
    } catch (problem) {
      this.failed = problem.message;
    }
    this.looking = false;
    this.sayHowMany();
    this.drawNow();
  }

  partOf(item) {
    return this.parts.findLast((part) => part.first && !this.isAbove(item.id, part.first)) || this.parts[0];
  }

  async lookAt(part) {
    const filters = this.options.filters;
    const found = await askJson(this.address(part.cursor));
    if (filters !== this.options.filters) return;
    const isFirst = part === this.parts[0];
    const top = found.items[0]?.id;
    const end = found.next_cursor ? found.items.at(-1)?.id : "";
    const present = new Set(found.items.map((item) => item.id));
    const before = this.items.length;
    // what lay between these and is gone was deleted, or does not fit the filters any more
    const stays = (id) => present.has(id) || (found.next_cursor ? !end || this.isAbove(end, id) : false) || (!isFirst && (!top || this.isAbove(id, top)));
    this.items = this.items.filter((item) => stays(item.id) || !this.known.delete(item.id));
    if (before !== this.items.length) for (const id of this.chosen) if (!this.known.has(id)) this.chosen.delete(id);
    if (before !== this.items.length) this.told();
    const added = this.merge(found.items);
    if (isFirst && added && this.order > 0 && this.scroller.scrollTop > this.height()) {
      this.scroller.scrollTop += added * this.height();
      this.fresh.hidden = false;
      this.fresh.textContent = `↑ ${added} new`;
    }
    if (part === this.parts.at(-1) && this.done && found.next_cursor) this.goOn(found);
  }

  // --- drawing

  height() {
    return this.root.clientWidth < 640 ? 68 : 44;
  }

  inSight() {
    const height = this.height();
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / height) - 5);
    return [first, Math.min(this.items.length, first + Math.ceil(this.scroller.clientHeight / height) + 10)];
  }

  drawNow() {
    const height = this.height();
    this.root.classList.toggle("df-small", height > 44);
    this.root.classList.toggle("df-middle", height === 44 && this.root.clientWidth < 960);
    this.sizer.style.height = `${this.items.length * height}px`;
    if (this.scroller.scrollTop < height) this.fresh.hidden = true;
    const [first, last] = this.inSight();
    const wanted = new Set();
    for (let at = first; at < last; at += 1) {
      const item = this.items[at];
      wanted.add(item.id);
      const told = `${at} ${height} ${item.state} ${item.pages.read} ${item.pages.failed} ${item.pages.total} ${item.name} ${Object.keys(item.labels)} ${Object.values(item.labels)}`;
      let row = this.rows.get(item.id);
      if (!row || row.told !== told) {
        const fresh = this.makeRow(item, at);
        if (row) row.replaceWith(fresh);
        else this.sizer.append(fresh);
        row = fresh;
        row.told = told;
        row.style.top = `${at * height}px`;
        this.rows.set(item.id, row);
      }
      row.classList.toggle("df-current", at === this.current);
      row.setAttribute("aria-selected", String(this.chosen.has(item.id)));
      const box = row.querySelector("input");
      if (box) box.checked = this.chosen.has(item.id);
    }
    for (const [id, row] of this.rows) {
      if (wanted.has(id)) continue;
      row.remove();
      this.rows.delete(id);
    }
    if (last >= this.items.length - AHEAD && !this.done && !this.failed) this.more();
  }

  makeRow(item, at) {
    const cell = (name, ...children) => el("span", { role: "gridcell", class: `df-cell df-${name}` }, ...children);
    const box = this.options.select
      ? cell("check", el("input", { type: "checkbox", tabIndex: -1, "aria-label": `Select ${item.name}`, on: { click: (event) => this.choose(at, event.target.checked, event.shiftKey) } }))
      : null;
    const labels = Object.entries(item.labels).slice(0, 4).map(([name, value]) => el("span", { class: "df-label", dir: "auto", title: `${name}=${value}` }, `${name}=${value}`));
    const link = el("a", { href: `${this.options.links}${item.id}`, tabIndex: -1, dir: "auto", title: item.name.slice(0, 500) }, item.name || item.id);
    return el("div", { class: "df-row", role: "row", "aria-rowindex": String(at + 2), "data-id": item.id }, box,
      cell("name", el("bdi", {}, link), ...labels),
      cell("state", el("span", { class: "df-chip", "data-state": item.state, title: item.message || "" }, STATES[item.state] || item.state), item.code ? el("span", { class: "df-code" }, item.code.replaceAll("_", " ")) : null),
      cell("pages", pagesOf(item)),
      cell("sure", item.confidence === null ? "" : percent(item.confidence)),
      cell("price", OPEN.has(item.state) ? "" : money(item.cost_usd)),
      cell("size", bytes(item.size_bytes)),
      el("span", { role: "gridcell", class: "df-cell df-submitted", title: exactly(item.created_at) }, moment(item.created_at)));
  }

  say(text) {
    this.status.textContent = text;
  }

  sayHowMany() {
    if (this.failed) return this.say(this.failed);
    const shown = this.items.length.toLocaleString();
    if (this.full) return this.say(`${shown} loaded, and no more: narrow them down by a filter or a date, or begin with the oldest`);
    if (!this.items.length) return this.say((this.options.filters || []).some(([name]) => name !== "order") ? "Nothing fits these filters. Take some of them away to see more." : this.options.empty || "There is no document yet. Drop files above to begin.");
    return this.say(this.done ? `${shown} document${this.items.length === 1 ? "" : "s"}` : `${shown} loaded, more below`);
  }

  // --- choosing

  choose(at, on, range = false) {
    const [from, to] = range ? [Math.min(this.anchor, at), Math.max(this.anchor, at)] : [at, at];
    for (const item of this.items.slice(from, to + 1)) {
      if (on) this.chosen.add(item.id);
      else this.chosen.delete(item.id);
    }
    this.anchor = at;
    this.current = at;
    this.told();
    this.drawNow();
  }

  chooseAll(on) {
    if (on) this.items.forEach((item) => this.chosen.add(item.id));
    else this.chosen.clear();
    this.told();
    this.drawNow();
  }

  told() {
    this.all.checked = this.chosen.size > 0 && this.chosen.size === this.items.length;
    this.all.indeterminate = this.chosen.size > 0 && !this.all.checked;
    this.emit("selection", { ids: [...this.chosen], loaded: this.items.length, complete: this.done });
  }

  keyed(event) {
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.height()) - 1);
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (by) {
      this.current = Math.max(0, Math.min(this.items.length - 1, this.current + by));
      const top = this.current * this.height();
      if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
      if (top + this.height() > this.scroller.scrollTop + this.scroller.clientHeight) this.scroller.scrollTop = top + this.height() - this.scroller.clientHeight;
      this.drawNow();
    } else if (event.key === " " && this.options.select && event.target === this.scroller) {
      const item = this.items[this.current];
      if (item) this.choose(this.current, !this.chosen.has(item.id), event.shiftKey);
    } else if (event.key === "Enter" && event.target === this.scroller) {
      const item = this.items[this.current];
      if (item) window.location.assign(`${this.options.links}${item.id}`);
    } else return;
    event.preventDefault();
  }

  destroy() {
    clearInterval(this.timer);
    this.asking?.abort();
    this.resizer.disconnect();
    this.draw.cancel();
  }
}

function pagesOf(item) {
  const { total, read, failed } = item.pages;
  if (total === null) return "";
  if (OPEN.has(item.state)) return `${read + failed} of ${total}`;
  return failed ? `${read} of ${total}` : String(total);
}
