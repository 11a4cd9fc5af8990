// What stands beside the picture: text, tables, fields, Markdown, JSON and the page's account, all as text nodes.

import { ask, askJson, button, el, money, percent, seconds } from "docfleet-console/dom.js";
import { level } from "docfleet-console/stage.js";

const SHOWN_AT_ONCE = 200;

/** The page's text with every word to be pointed at. Offsets are code points. */
export function textPanel(view, tell) {
  const letters = Array.from(view.text);
  const tokens = view.tokens.map(([, confidence, start, end], at) => ({ at, confidence, start, end })).filter((token) => token.end > token.start);
  tokens.sort((a, b) => a.start - b.start);
  const root = el("div", { class: "df-text", dir: "auto", role: "group", "aria-label": "Text of the page; arrow keys go from word to word" });
  let position = 0;
  for (const token of tokens) {
    if (token.start < position) continue;
    if (token.start > position) root.append(letters.slice(position, token.start).join(""));
    const word = letters.slice(token.start, token.end).join("");
    const bare = word.trimEnd();
    root.append(el("span", { class: "df-word", tabIndex: -1, "data-key": `tokens:${token.at}`, "data-level": level(token.confidence), "aria-label": `${bare}, ${percent(token.confidence)} sure` }, bare));
    root.append(word.slice(bare.length));
    position = token.end;
  }
  root.append(letters.slice(position).join(""));
  if (!letters.length) root.append(el("p", { class: "df-empty" }, "There is no text on this page."));
  const first = root.querySelector(".df-word");
  if (first) first.tabIndex = 0;
  root.addEventListener("keydown", (event) => moveWord(event, root));
  pointing(root, tell);
  return root;
}

function moveWord(event, root) {
  const word = event.target.closest?.(".df-word");
  if (!word || !["ArrowRight", "ArrowLeft", "Home", "End"].includes(event.key)) return;
  const words = [...root.querySelectorAll(".df-word")];
  const at = words.indexOf(word);
  const next = { ArrowRight: words[at + 1], ArrowLeft: words[at - 1], Home: words[0], End: words.at(-1) }[event.key];
  if (next) {
    word.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
  event.preventDefault();
}

/** Tells what is pointed at, by mouse or by keyboard. */
function pointing(root, tell) {
  const keyOf = (event) => event.target.closest?.("[data-key]")?.getAttribute("data-key") || null;
  root.addEventListener("pointerover", (event) => tell("hover", keyOf(event)));
  root.addEventListener("pointerleave", () => tell("hover", null));
  root.addEventListener("focusin", (event) => keyOf(event) && tell("focus", keyOf(event)));
  root.addEventListener("click", (event) => keyOf(event) && tell("pick", keyOf(event)));
}

export function tablesPanel(view, tell) {
  const root = el("div", { class: "df-tables" });
  view.tables.forEach((table, at) => {
    const rows = table.rows.map((row, y) =>
      el("tr", {}, ...row.map((cell, x) =>
        el(cell.head ? "th" : "td", { rowSpan: cell.rows, colSpan: cell.columns, dir: "auto", tabIndex: 0, "data-key": `tables:${at}:${y}:${x}`, "data-level": level(cell.confidence) }, cell.text))));
    root.append(el("div", { class: "df-scroll" }, el("table", {}, el("caption", {}, `Table ${at + 1}, ${percent(table.confidence)} sure`), el("tbody", {}, ...rows))));
  });
  if (!view.tables.length) root.append(el("p", { class: "df-empty" }, "No table was found on this page."));
  pointing(root, tell);
  return root;
}

export function fieldsPanel(view, tell) {
  const root = el("div", { class: "df-fields" });
  const row = (key, name, value, confidence) =>
    el("tr", { tabIndex: 0, "data-key": key, "data-level": level(confidence) }, el("th", { scope: "row", dir: "auto" }, name), el("td", { dir: "auto" }, value), el("td", { class: "df-number" }, confidence === null ? "" : percent(confidence)));
  const rows = view.fields.map((field, at) => row(`fields:${at}:value`, field.name, fieldValue(field), field.confidence));
  rows.push(...view.barcodes.map((code, at) => row(`barcodes:${at}`, code.format || "Barcode", code.value, null)));
  rows.push(...view.marks.map((mark, at) => row(`marks:${at}`, mark.type.replaceAll("_", " "), "", mark.confidence)));
  if (rows.length) root.append(el("table", {}, el("thead", {}, el("tr", {}, el("th", {}, "Field"), el("th", {}, "Value"), el("th", {}, "Sure"))), el("tbody", {}, ...rows)));
  else root.append(el("p", { class: "df-empty" }, "No field was found on this page."));
  pointing(root, tell);
  return root;
}

function fieldValue(field) {
  if (field.type === "filled_checkbox") return "☑ yes";
  if (field.type === "unfilled_checkbox") return "☐ no";
  return field.value;
}

/** A result of the whole document as plain text, piece by piece. */
export function plainPanel(url, missing) {
  const text = el("pre", { class: "df-plain", dir: "auto", tabIndex: 0 });
  const root = el("div", {}, text);
  const more = button("Show more", "Show more of it", () => load());
  let start = 0;
  async function load() {
    more.disabled = true;
    try {
      const response = await ask(`${url}?start=${start}`);
      text.append(await response.text());
      start = Number(response.headers.get("x-next-start") || 0);
      if (start) root.append(more);
      else more.remove();
    } catch (problem) {
      text.append(el("span", { class: "df-empty" }, problem.code === "format_not_made" ? missing : problem.message));
    }
    more.disabled = false;
  }
  load();
  return root;
}

/** The page of document.json as a tree that is built where it is opened. */
export function jsonPanel(url) {
  const root = el("div", { class: "df-json" }, el("p", { class: "df-empty" }, "Loading …"));
  askJson(url).then(
    (value) => root.replaceChildren(...Object.entries(value).map(([name, item]) => node(name, item))),
    (problem) => root.replaceChildren(el("p", { class: "df-empty" }, problem.message)),
  );
  return root;
}

function node(name, value) {
  if (value === null || typeof value !== "object") {
    return el("div", { class: "df-leaf" }, el("span", { class: "df-name" }, `${name}: `), el("span", { class: `df-${typeof value}` }, JSON.stringify(value)));
  }
  const entries = Array.isArray(value) ? value.map((item, at) => [String(at), item]) : Object.entries(value);
  const kind = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
  const made = el("details", {}, el("summary", {}, el("span", { class: "df-name" }, `${name} `), el("span", { class: "df-kind" }, kind)));
  let built = 0;
  const build = () => {
    const part = entries.slice(built, built + SHOWN_AT_ONCE).map(([key, item]) => node(key, item));
    built += part.length;
    made.append(...part);
    if (built < entries.length) {
      const more = button(`${entries.length - built} more`, "Show more of this list", () => {
        more.remove();
        build();
      });
      made.append(more);
    }
  };
  made.addEventListener("toggle", () => made.open && !built && build());
  return made;
}

/** How the page was read: engine, why, how sure, price, time; what was seen on it. */
export function accountPanel(page, view) {
  const rows = [];
  const add = (name, value) => value !== null && value !== undefined && value !== "" && rows.push(el("tr", {}, el("th", { scope: "row" }, name), el("td", { dir: "auto" }, value)));
  if (page) {
    add("Outcome", page.state);
    add("Engine", page.engine);
    add("Why", [page.reason?.replaceAll("_", " "), page.detail].filter(Boolean).join(": "));
    add("Confidence", page.confidence === null ? "" : percent(page.confidence));
    add("Price", money(page.cost_usd));
    add("Time", seconds(page.seconds));
    add("Quality of the image", page.quality === null ? "" : percent(page.quality));
  }
  if (view) {
    add("Size", view.width ? `${Math.round(view.width)} × ${Math.round(view.height)} ${view.unit}` : "");
    add("Languages", view.languages.join(", "));
    add("Defects", view.defects.map(([name, sure]) => `${name.replaceAll("_", " ").replace("defect ", "")} ${percent(sure)}`).join(", "));
    add("Words", view.tokens.length);
  }
  return el("div", { class: "df-account" }, el("table", {}, el("tbody", {}, ...rows)));
}
