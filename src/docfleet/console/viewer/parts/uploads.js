// Files and folders dropped or chosen, sent one by one as they are: the browser streams, and so does the console.

import { OWN, ask, button, bytes, el, useStyle } from "docfleet-console/dom.js";

const AT_A_TIME = 3;
const SHOWN = 200;
const DONE_SECONDS = 8;
const AGAIN_SECONDS = 3;
const MOST_TRIES = 20;
const LEFT = "docfleet_left";

export class Uploads {
  /** `options`: { url, links, fields: {name: value}, password, probe }. Emits "sent" when one has arrived. */
  constructor(root, options, emit) {
    useStyle();
    Object.assign(this, { root, options, emit, waiting: [], under: new Set(), counts: { sent: 0, failed: 0, repeated: 0, cancelled: 0 } });
    this.files = el("input", { type: "file", multiple: true, class: "df-hidden", tabIndex: -1, "aria-hidden": "true", on: { change: () => this.chosen(this.files) } });
    this.folder = el("input", { type: "file", webkitdirectory: true, class: "df-hidden", tabIndex: -1, "aria-hidden": "true", on: { change: () => this.chosen(this.folder) } });
    this.list = el("ul", { class: "df-uploads", "aria-label": "Uploads" });
    this.said = el("span", { role: "status" });
    this.stop = button("Cancel all", "Cancel all that is not sent yet", () => this.cancelAll(), { class: "df-button df-small-button", hidden: true });
    this.zone = el("div", { class: "df-drop" },
      el("span", { class: "df-drop-text" }, "Drop files or folders here, or "),
      el("button", { type: "button", class: "df-button df-strong", on: { click: () => this.files.click() } }, "Choose files"),
      el("button", { type: "button", class: "df-button", on: { click: () => this.folder.click() } }, "Choose a folder"),
      this.files, this.folder);
    root.classList.add("df-upload");
    root.replaceChildren(this.zone, el("div", { class: "df-upload-summary" }, this.said, this.stop), this.list);
    this.onDrag = (event) => this.dragged(event);
    for (const name of ["dragenter", "dragover", "dragleave", "drop"]) document.addEventListener(name, this.onDrag);
    this.onLeave = (event) => (this.under.size || this.waiting.length) && event.preventDefault();
    window.addEventListener("beforeunload", this.onLeave);
    this.onGone = () => window.docfleet?.leaving || left([...this.under, ...this.waiting].map((one) => one.name));
    window.addEventListener("pagehide", this.onGone);
    for (const name of left()) this.refuse({ name }, "It was not sent: the page was left or loaded anew before. Choose it once more.");
  }

  update(options) {
    this.options = { ...this.options, ...options };
  }

  dragged(event) {
    if (![...(event.dataTransfer?.types || [])].includes("Files")) return;
    event.preventDefault();
    this.zone.classList.toggle("df-over", event.type === "dragenter" || event.type === "dragover");
    if (event.type !== "drop") return;
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (entries.length) entries.forEach((entry) => this.walk(entry));
    else this.add([...event.dataTransfer.files].map((file) => [file, file.name]));
  }

  /** A dropped folder with all that is in it. A reader gives out a hundred entries at a time. */
  walk(entry) {
    const path = entry.fullPath.replace(/^\//, "");
    const refuse = (said) => this.refuse({ name: path }, said);
    if (entry.isFile) {
      entry.file((file) => this.add([[file, path]]), () => refuse("The browser could not read this file."));
      return;
    }
    const reader = entry.createReader();
    const next = () => reader.readEntries((found) => {
      found.forEach((one) => this.walk(one));
      if (found.length) next();
    }, () => refuse("The browser could not list this folder."));
    next();
  }

  chosen(field) {
    this.add([...field.files].map((file) => [file, file.webkitRelativePath || file.name]));
    field.value = "";
  }

  add(files) {
    for (const [file, name] of files) {
      if (name.split("/").at(-1).startsWith(".")) continue; // what file managers leave in folders
      const one = { file, name, key: key(), tries: 0, fields: { ...this.options.fields }, password: this.options.password };
      if (this.list.children.length < SHOWN) this.show(one);
      this.waiting.push(one);
    }
    this.go();
  }

  go() {
    while (this.under.size < AT_A_TIME && this.waiting.length) this.send(this.waiting.shift());
    const { sent, failed, repeated, cancelled } = this.counts;
    const left = this.under.size + this.waiting.length;
    const said = [];
    if (left) said.push(`${left} on the way`);
    if (sent) said.push(`${sent} accepted`);
    if (repeated) said.push(`${repeated} of these known already`);
    if (failed) said.push(`${failed} refused`);
    if (cancelled) said.push(`${cancelled} cancelled`);
    this.said.textContent = said.join(", ");
    this.stop.hidden = !left;
  }

  // --- one of them

  show(one) {
    if (one.item) return;
    one.bar = el("progress", { max: 1, value: 0, "aria-label": `Upload of ${one.name}` });
    one.state = el("span", { class: "df-upload-state" }, "waiting");
    one.cancel = button("✕", `Cancel ${one.name}`, () => this.cancel(one), { class: "df-button df-small-button" });
    one.item = el("li", {}, el("bdi", { class: "df-upload-name", title: one.name }, one.name), one.file ? el("span", { class: "df-upload-size" }, bytes(one.file.size)) : null, one.bar, one.state, one.cancel);
    this.list.append(one.item);
  }

  progress(one, part) {
    one.bar.value = part;
    one.state.textContent = part < 1 ? `${Math.floor(part * 100)} %` : "being stored";
  }

  /** What went wrong stands at the top until it is tried again or the page is left. */
  refuse(one, said, again = false) {
    this.counts.failed += 1;
    this.show(one);
    one.item.classList.add("df-failed");
    one.bar.hidden = true;
    one.cancel.remove();
    one.state.textContent = said;
    if (again) one.item.append((one.again = button("Try again", `Try again to send ${one.name}`, () => this.again(one), { class: "df-button df-small-button" })));
    this.list.prepend(one.item);
    this.end(one);
  }

  again(one) {
    this.counts.failed -= 1;
    one.again.remove();
    one.item.classList.remove("df-failed");
    one.bar.hidden = false;
    one.item.append(one.cancel);
    this.progress(one, 0);
    this.waiting.push(one);
    this.go();
  }

  accept(one, shown) {
    this.counts.sent += 1;
    if (shown.duplicate_of) this.counts.repeated += 1;
    one.item.classList.add("df-done");
    one.bar.remove();
    one.cancel.remove();
    one.state.replaceChildren(el("a", { href: `${this.options.links}${shown.id}` }, shown.duplicate_of ? "known already: its results are taken" : "accepted"));
    setTimeout(() => !shown.duplicate_of && one.item.remove(), DONE_SECONDS * 1000);
    this.emit("sent", { id: shown.id });
    this.end(one);
  }

  cancel(one) {
    this.counts.cancelled += 1;
    one.cancelled = true;
    one.item?.remove();
    this.waiting = this.waiting.filter((other) => other !== one);
    clearTimeout(one.timer);
    one.request?.abort();
    this.end(one);
  }

  cancelAll() {
    for (const one of [...this.waiting, ...this.under]) this.cancel(one);
    this.zone.querySelector("button").focus();
  }

  end(one) {
    this.under.delete(one);
    this.go();
  }

  /** Sends it once more after a while; the service takes it for the same by its key. */
  later(one, seconds, said) {
    one.tries += 1;
    one.bar.value = 0;
    one.state.textContent = said;
    one.timer = setTimeout(() => !one.cancelled && this.send(one), seconds * 1000);
  }

  send(one) {
    this.under.add(one);
    this.show(one);
    const request = (one.request = new XMLHttpRequest()); // fetch tells no progress of an upload
    request.open("POST", `${this.options.url}?${new URLSearchParams({ ...one.fields, name: one.name })}`);
    for (const [name, value] of Object.entries(OWN)) request.setRequestHeader(name, value);
    request.setRequestHeader("content-type", "application/octet-stream");
    request.setRequestHeader("idempotency-key", one.key);
    if (one.password) request.setRequestHeader("docfleet-password", encodeURIComponent(one.password));
    request.upload.onprogress = (event) => event.lengthComputable && this.progress(one, event.loaded / event.total);
    request.onerror = () => this.brokeOff(one);
    request.onload = () => {
      let said = {};
      try {
        said = JSON.parse(request.responseText);
      } catch {
        /* something between us and the console answered */
      }
      const busy = [429, 502, 503, 504].includes(request.status) && one.tries < MOST_TRIES;
      if (request.status === 202) this.accept(one, said);
      else if (busy) this.later(one, Math.min(30, Number(request.getResponseHeader("retry-after")) || 2 ** Math.min(one.tries, 4)), "the service is busy: it is sent again");
      else this.refuse(one, [said.detail || said.title || `The console answered ${request.status}.`, said.remedy].filter(Boolean).join(" "), request.status >= 500 || request.status === 401);
    };
    request.send(one.file);
  }

  /** The browser does not tell a lost connection from a file that changed or was refused while it was sent: asking does. */
  async brokeOff(one) {
    let away = false;
    try {
      await ask(this.options.probe);
    } catch (problem) {
      away = problem.status === 0 || problem.status >= 502;
    }
    if (one.cancelled) return;
    if (away) this.later(one, AGAIN_SECONDS, "the connection is lost: it is sent again once it is back");
    else if (!one.brokeOff) {
      one.brokeOff = true;
      this.later(one, 0, "it is sent again");
    } else this.refuse(one, "The connection broke off, or the file changed or was refused while it was sent.", true);
  }

  destroy() {
    for (const name of ["dragenter", "dragover", "dragleave", "drop"]) document.removeEventListener(name, this.onDrag);
    window.removeEventListener("beforeunload", this.onLeave);
    window.removeEventListener("pagehide", this.onGone);
  }
}

/** Names of files that were on their way when this page was left (a service that starts anew has pages loaded anew); kept until they are told. */
function left(names) {
  try {
    if (names?.length) sessionStorage.setItem(LEFT, JSON.stringify(names.slice(0, SHOWN)));
    if (names) return [];
    const found = JSON.parse(sessionStorage.getItem(LEFT) || "[]");
    sessionStorage.removeItem(LEFT);
    return found;
  } catch {
    return []; // windows that keep nothing
  }
}

/** What the service knows one upload by, however often it is sent. */
function key() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
