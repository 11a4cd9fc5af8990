// Files and folders dropped or chosen, sent one by one as they are: the browser streams, and so does the console.

import { OWN, bytes, el, useStyle } from "docfleet-console/dom.js";

const AT_A_TIME = 3;
const KEPT = 500;

export class Uploads {
  /** `options`: { url, links, fields: {name: value}, password, most: bytes }. Emits "sent" when one has arrived. */
  constructor(root, options, emit) {
    useStyle();
    Object.assign(this, { root, options, emit, waiting: [], under: 0, counts: { sent: 0, failed: 0, repeated: 0 } });
    this.files = el("input", { type: "file", multiple: true, class: "df-hidden", tabIndex: -1, "aria-hidden": "true", on: { change: () => this.chosen(this.files) } });
    this.folder = el("input", { type: "file", webkitdirectory: true, class: "df-hidden", tabIndex: -1, "aria-hidden": "true", on: { change: () => this.chosen(this.folder) } });
    this.list = el("ul", { class: "df-uploads", "aria-label": "Uploads" });
    this.summary = el("div", { class: "df-upload-summary", role: "status" });
    this.zone = el("div", { class: "df-drop" },
      el("span", { class: "df-drop-text" }, "Drop files or folders here, or "),
      el("button", { type: "button", class: "df-button df-strong", on: { click: () => this.files.click() } }, "Choose files"),
      el("button", { type: "button", class: "df-button", on: { click: () => this.folder.click() } }, "Choose a folder"),
      this.files, this.folder);
    root.classList.add("df-upload");
    root.replaceChildren(this.zone, this.summary, this.list);
    this.onDrag = (event) => this.dragged(event);
    for (const name of ["dragenter", "dragover", "dragleave", "drop"]) document.addEventListener(name, this.onDrag);
    this.onLeave = (event) => (this.under || this.waiting.length) && event.preventDefault();
    window.addEventListener("beforeunload", this.onLeave);
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
    if (entry.isFile) {
      entry.file((file) => this.add([[file, path]]), () => this.row(path).refuse("The browser could not read this file."));
      return;
    }
    const reader = entry.createReader();
    const next = () => reader.readEntries((found) => {
      found.forEach((one) => this.walk(one));
      if (found.length) next();
    }, () => this.row(path).refuse("The browser could not list this folder."));
    next();
  }

  chosen(field) {
    this.add([...field.files].map((file) => [file, file.webkitRelativePath || file.name]));
    field.value = "";
  }

  add(files) {
    for (const [file, name] of files) {
      if (name.split("/").at(-1).startsWith(".")) continue; // what file managers leave in folders
      this.waiting.push({ file, name, row: this.row(name, file.size), fields: { ...this.options.fields }, password: this.options.password });
    }
    this.go();
  }

  go() {
    while (this.under < AT_A_TIME && this.waiting.length) this.send(this.waiting.shift());
    const { sent, failed, repeated } = this.counts;
    const left = this.under + this.waiting.length;
    const said = [];
    if (left) said.push(`${left} on the way`);
    if (sent) said.push(`${sent} accepted`);
    if (repeated) said.push(`${repeated} of these known already`);
    if (failed) said.push(`${failed} refused`);
    this.summary.textContent = said.join(", ");
  }

  row(name, size) {
    const bar = el("progress", { max: 1, value: 0, "aria-label": `Upload of ${name}` });
    const state = el("span", { class: "df-upload-state" }, "waiting");
    const item = el("li", {}, el("bdi", { class: "df-upload-name", title: name }, name), size === undefined ? null : el("span", { class: "df-upload-size" }, bytes(size)), bar, state);
    this.list.prepend(item);
    while (this.list.children.length > KEPT) this.list.lastChild.remove();
    return {
      progress: (part) => {
        bar.value = part;
        state.textContent = part < 1 ? `${Math.floor(part * 100)} %` : "being stored";
      },
      refuse: (said) => {
        item.classList.add("df-failed");
        bar.remove();
        state.textContent = said;
      },
      accept: (shown, links) => {
        item.classList.add("df-done");
        bar.remove();
        state.replaceChildren(el("a", { href: `${links}${shown.id}` }, shown.duplicate_of ? "known already: its results are taken" : "accepted"));
        setTimeout(() => !shown.duplicate_of && item.remove(), 8000);
      },
    };
  }

  send(one, tries = 0) {
    this.under += 1;
    const request = new XMLHttpRequest(); // fetch tells no progress of an upload
    const done = () => {
      this.under -= 1;
      this.go();
    };
    const refuse = (said) => {
      this.counts.failed += 1;
      one.row.refuse(said);
      done();
    };
    request.open("POST", `${this.options.url}?${new URLSearchParams({ ...one.fields, name: one.name })}`);
    for (const [name, value] of Object.entries(OWN)) request.setRequestHeader(name, value);
    request.setRequestHeader("content-type", "application/octet-stream");
    if (one.password) request.setRequestHeader("docfleet-password", encodeURIComponent(one.password));
    request.upload.onprogress = (event) => event.lengthComputable && one.row.progress(event.loaded / event.total);
    request.onerror = () => refuse("The connection broke off, or the console refused the file while it was sent. Try it again.");
    request.onload = () => {
      let said = {};
      try {
        said = JSON.parse(request.responseText);
      } catch {
        /* something between us and the console answered */
      }
      if (request.status === 202) {
        this.counts.sent += 1;
        if (said.duplicate_of) this.counts.repeated += 1;
        one.row.accept(said, this.options.links);
        this.emit("sent", { id: said.id });
        done();
      } else if ([429, 503].includes(request.status) && tries < 20) {
        one.row.progress(0);
        const wait = Math.min(30, Number(request.getResponseHeader("retry-after")) || 2 ** Math.min(tries, 4));
        setTimeout(() => {
          this.under -= 1;
          this.send(one, tries + 1);
        }, wait * 1000);
      } else refuse([said.detail || said.title || `The console answered ${request.status}.`, said.remedy].filter(Boolean).join(" "));
    };
    request.send(one.file);
  }

  destroy() {
    for (const name of ["dragenter", "dragover", "dragleave", "drop"]) document.removeEventListener(name, this.onDrag);
    window.removeEventListener("beforeunload", this.onLeave);
  }
}
