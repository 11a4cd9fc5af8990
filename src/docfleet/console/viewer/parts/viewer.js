// A document beside what was read of it; pointing at one side lights the other.

import { askJson, button, el, useStyle } from "docfleet-console/dom.js";
import { accountPanel, fieldsPanel, jsonPanel, plainPanel, tablesPanel, textPanel } from "docfleet-console/panels.js";
import { Stage } from "docfleet-console/stage.js";
import { Thumbs } from "docfleet-console/thumbs.js";

const NARROW = 760;
const AGAIN = 3000;
const AWAY = new Set([0, 429, 502, 503, 504]);
const TABS = { picture: "Picture", text: "Text", tables: "Tables", fields: "Fields", markdown: "Markdown", json: "JSON", account: "This page" };

export class Viewer {
  /** `options`: { base, page, version, has: [formats that were made] }. */
  constructor(root, options) {
    useStyle();
    Object.assign(this, { root, options, number: options.page || 1, pages: [], view: null, panels: {}, chosen: "text" });
    this.stage = new Stage((event, key) => this.pointed(event, key, true));
    this.thumbs = new Thumbs((number) => this.pictureUrl(number, 160), (number) => this.go(number));
    this.live = el("div", { class: "df-hidden", "aria-live": "polite" });
    this.body = el("div", { class: "df-panel", id: "df-panel", role: "tabpanel", tabIndex: 0 });
    this.side = el("section", { class: "df-side", "aria-label": "What was read" }, this.makeTabs(), this.body);
    root.classList.add("df-viewer");
    root.replaceChildren(this.makePager(), el("div", { class: "df-columns" }, this.thumbs.root, this.stage.root, this.side), this.live);
    this.resizer = new ResizeObserver(() => this.fold());
    this.resizer.observe(root);
    this.onKey = (event) => this.keyed(event);
    document.addEventListener("keydown", this.onKey);
    this.fold();
    this.refresh();
  }

  // --- pages

  makePager() {
    this.field = el("input", { type: "number", min: 1, value: this.number, class: "df-number-field", "aria-label": "Page", on: { change: () => this.go(Number(this.field.value)) } });
    this.count = el("span", {}, "");
    this.outcome = el("span", { class: "df-outcome" });
    return el("div", { class: "df-pager", role: "toolbar", "aria-label": "Pages" },
      button("‹", "Page before (Page Up)", () => this.go(this.number - 1)), this.field, this.count,
      button("›", "Next page (Page Down)", () => this.go(this.number + 1)), this.outcome);
  }

  keyed(event) {
    const within = this.root.contains(event.target);
    if (!within && event.target !== document.body) return;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("textarea, input:not([type=checkbox])")) return;
    const by = { n: 1, p: -1, ...(within && { PageDown: 1, PageUp: -1 }) }[event.key];
    const act = by ? () => this.go(this.number + by) : this.stage.actOf(event.key);
    if (!act) return;
    event.preventDefault();
    act();
  }

  go(number) {
    const last = this.pages.length || 1;
    this.number = Math.min(last, Math.max(1, Math.round(number) || 1));
    this.field.value = this.number;
    history.replaceState(history.state, "", `?page=${this.number}`); // loaded anew it is here again
    this.showPage();
  }

  update(options) {
    const newer = options.version !== this.options.version;
    this.options = { ...this.options, ...options };
    if (newer) this.refresh();
  }

  async refresh() {
    try {
      this.pages = (await askJson(`${this.options.base}/pages`)).items;
    } catch (problem) {
      this.outcome.textContent = problem.message;
      this.later(problem, () => this.refresh());
      return;
    }
    this.number = Math.min(this.number, this.pages.length || 1);
    this.field.value = this.number;
    this.field.max = this.pages.length || 1;
    this.count.textContent = ` of ${this.pages.length || "?"}`;
    this.thumbs.set(this.pages, this.number);
    await this.showPage();
  }

  /** Does it after a while where the service was away or busy. */
  later(problem, what) {
    clearTimeout(this.timer);
    if (AWAY.has(problem.status)) this.timer = setTimeout(what, AGAIN);
  }

  pictureUrl(number, width) {
    return `${this.options.base}/pages/${number}/picture?width=${width}`;
  }

  async showPage() {
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    const number = this.number;
    this.thumbs.mark(number);
    const page = (this.page = this.pages[number - 1]);
    let view = null;
    let problem = "";
    if (this.options.has.includes("json")) {
      try {
        view = await askJson(`${this.options.base}/pages/${number}`, asking.signal);
      } catch (error) {
        if (error.name === "AbortError") return;
        problem = error.message;
        this.later(error, () => this.number === number && this.showPage());
      }
    } else if (this.options.ended) {
      problem = this.options.has.length
        ? "This document was not written as JSON: there is nothing to lay over its pages. Read it again with the format json."
        : "Nothing was read of this document.";
    }
    if (asking.signal.aborted) return;
    this.view = view;
    this.stage.show(view, (width) => this.pictureUrl(number, width), `Picture of page ${number}`);
    const failed = (this.failed = page && !["read", "waiting", "running"].includes(page.state));
    this.outcome.textContent = failed ? `Page ${number} was not read: ${page.state.replaceAll("_", " ")}. ${page.detail || ""}` : "";
    this.outcome.classList.toggle("df-failed", Boolean(failed));
    this.trouble = problem && !failed ? problem : "";
    this.panels = {};
    this.label("tables", view?.tables.length);
    this.label("fields", view && view.fields.length + view.barcodes.length + view.marks.length);
    this.showPanel();
    this.root.setAttribute("data-page", String(number));
  }

  // --- tabs

  makeTabs() {
    this.tabs = {};
    const made = Object.entries(TABS).map(([name, title]) => (this.tabs[name] = el("button", { type: "button", role: "tab", class: "df-tab", id: `df-tab-${name}`, "aria-controls": "df-panel", "data-tab": name, on: { click: () => this.choose(name) } }, title)));
    const list = el("div", { class: "df-tabs", role: "tablist", "aria-label": "What was read" }, ...made);
    list.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      const shown = made.filter((tab) => tab.offsetParent);
      const next = shown[(shown.indexOf(event.target) + by + shown.length) % shown.length];
      next.focus();
      next.click();
    });
    return list;
  }

  label(tab, count) {
    this.tabs[tab].textContent = count ? `${TABS[tab]} (${count})` : TABS[tab];
  }

  choose(name) {
    this.chosen = name;
    this.showPanel();
  }

  fold() {
    const narrow = this.root.clientWidth > 0 && this.root.clientWidth < NARROW;
    if (narrow === this.narrow) return;
    this.narrow = narrow;
    this.root.classList.toggle("df-narrow", narrow);
    if (narrow) this.chosen = "picture";
    else if (this.chosen === "picture") this.chosen = "text";
    (narrow ? this.body : this.root.querySelector(".df-columns")).insertBefore(this.stage.root, narrow ? null : this.side);
    this.showPanel();
  }

  showPanel() {
    for (const [name, tab] of Object.entries(this.tabs)) {
      tab.setAttribute("aria-selected", String(name === this.chosen));
      tab.tabIndex = name === this.chosen ? 0 : -1;
    }
    this.body.setAttribute("aria-labelledby", `df-tab-${this.chosen}`);
    if (this.chosen === "picture") {
      this.body.replaceChildren(this.stage.root);
      this.stage.layOut();
      return;
    }
    this.panels[this.chosen] ||= this.makePanel(this.chosen);
    this.body.replaceChildren(this.panels[this.chosen]);
    this.body.scrollTo(0, 0);
  }

  makePanel(name) {
    const tell = (event, key) => this.pointed(event, key, false);
    if (name === "account") return accountPanel(this.page, this.view);
    if (name === "markdown") return plainPanel(`${this.options.base}/text/md`, "No Markdown was made of this document.");
    if (!this.view || (this.failed && name === "text")) return el("p", { class: "df-empty" }, this.trouble || this.outcome.textContent || (this.options.ended ? "Nothing was read of this page." : "This page is not read yet."));
    if (name === "json") return jsonPanel(`${this.options.base}/pages/${this.number}/json`);
    return { text: textPanel, tables: tablesPanel, fields: fieldsPanel }[name](this.view, tell);
  }

  // --- pointing

  pointed(event, key, onPicture) {
    if (event === "pick" && onPicture && key) this.openPanelOf(key);
    if (key === this.pointing && event === "hover") return;
    this.pointing = key;
    const words = key ? this.wordsOf(key) : [];
    this.stage.light(key ? [key] : [], !onPicture && event !== "hover");
    for (const lit of this.body.querySelectorAll(".df-on")) if (!lit.closest("svg")) lit.classList.remove("df-on");
    const keys = new Set([key, ...words]);
    let first = null;
    for (const place of this.body.querySelectorAll("[data-key]")) {
      if (place.closest("svg") || !keys.has(place.getAttribute("data-key"))) continue;
      place.classList.add("df-on");
      first ||= place;
    }
    if (onPicture && first) first.scrollIntoView({ block: "nearest" });
    if (event !== "hover" && key) this.live.textContent = this.stage.describe(key);
  }

  /** The words within a line, paragraph or block. */
  wordsOf(key) {
    const item = this.stage.items.get(key);
    if (!item || item.start === undefined || item.layer === "tokens") return [];
    return this.view.tokens.flatMap(([, , start, end], at) => (start >= item.start && end <= item.end ? [`tokens:${at}`] : []));
  }

  openPanelOf(key) {
    const wanted = { tables: "tables", fields: "fields", barcodes: "fields", marks: "fields" }[key.split(":")[0]] || "text";
    if (!this.narrow && wanted !== this.chosen) this.choose(wanted);
  }

  destroy() {
    this.asking?.abort();
    clearTimeout(this.timer);
    this.resizer.disconnect();
    this.stage.destroy();
    this.thumbs.destroy();
    document.removeEventListener("keydown", this.onKey);
  }
}
