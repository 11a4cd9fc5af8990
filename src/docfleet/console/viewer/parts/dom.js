// Elements from values. What comes from documents is only ever set as text: there is no innerHTML in this package.

export const SVG = "http://www.w3.org/2000/svg";

/** An element with properties, attributes (those with a dash, and role) and children: elements or text. */
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, handle] of Object.entries(value)) made.addEventListener(event, handle);
    else if (name === "class") made.className = value;
    else if (name.includes("-") || name === "role" || name === "for" || name === "list") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export function button(label, title, handle, more = {}) {
  return el("button", { type: "button", title, "aria-label": title, class: "df-button", ...more, on: { click: handle } }, label);
}

/** What a request was refused with, as sentences for people. */
export class Problem extends Error {
  constructor(status, code, said) {
    super(said);
    this.status = status;
    this.code = code;
  }
}

export async function problemOf(response) {
  let said = {};
  try {
    said = await response.json();
  } catch {
    /* something between us and the console answered */
  }
  const text = [said.detail || said.title || `The console answered ${response.status}.`, said.remedy].filter(Boolean);
  return new Problem(response.status, said.code || "", text.join(" "));
}

/** Every request to the console carries this header, which no other site can make a browser send. */
export const OWN = { "x-docfleet-console": "1" };

export async function ask(url, signal) {
  let response;
  try {
    response = await fetch(url, { signal, headers: OWN, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "away", "The console does not answer. Check the connection; this page goes on by itself.");
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

export async function askJson(url, signal) {
  return (await ask(url, signal)).json();
}

export function percent(value) {
  if (value === null || value === undefined) return "unknown";
  const shown = Math.floor(value * 1000) / 10; // never rounded up to certainty
  return `${shown >= 100 ? 100 : shown.toFixed(1)} %`;
}

export function money(value) {
  if (!value) return "$0";
  return value < 0.01 ? `$${value.toFixed(4)}` : `$${value.toFixed(2)}`;
}

export function bytes(size) {
  const units = ["B", "kB", "MB", "GB"];
  let at = 0;
  while (size >= 1000 && at < units.length - 1) {
    size /= 1000;
    at += 1;
  }
  return `${at ? size.toFixed(size < 10 ? 1 : 0) : size} ${units[at]}`;
}

export function seconds(value) {
  if (value === null || value === undefined) return "";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 120) return `${value.toFixed(1)} s`;
  return value < 7200 ? `${Math.round(value / 60)} min` : `${(value / 3600).toFixed(1)} h`;
}

/** "2026-03-14T09:26:53Z" in the reader's own time. */
export function moment(text) {
  if (!text) return "";
  const at = new Date(text);
  const today = new Date().toDateString() === at.toDateString();
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return today ? time : `${at.toLocaleDateString()} ${time}`;
}

/** The same to the second, with the name of the zone. */
export function exactly(text) {
  return text ? new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" }).format(new Date(text)) : "";
}

/** Calls `handle` at most once in so many milliseconds, and after the last call. */
export function calmly(handle, milliseconds) {
  let timer = 0;
  const calm = () => {
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      handle();
    }, milliseconds);
  };
  calm.cancel = () => clearTimeout(timer);
  return calm;
}

/** Loads the style sheet beside this module, once. */
export function useStyle() {
  const href = new URL("docfleet.css", import.meta.url).href;
  if ([...document.styleSheets].some((sheet) => sheet.href === href) || document.querySelector("link[data-docfleet]")) return;
  document.head.append(el("link", { rel: "stylesheet", href, "data-docfleet": "1" }));
}
