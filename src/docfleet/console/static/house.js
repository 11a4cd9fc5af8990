// What the pages do in the browser by themselves: drawer, theme, keyboard, who looks, signing out everywhere.
"use strict";
(() => {
  const base = document.currentScript.dataset.base;
  const tabs = "BroadcastChannel" in window ? new BroadcastChannel("docfleet") : null;

  window.docfleet = {
    base,
    signIn() {
      // asked again without a valid session, the page takes the cookie away and leads to sign in and back
      location.reload();
    },
  };

  const side = (open) => {
    document.body.classList.toggle("side-open", open);
    document.querySelector("[data-act=side]")?.setAttribute("aria-expanded", String(open));
    if (open) document.querySelector(".side a")?.focus();
  };

  const theme = () => {
    const dark = document.documentElement.dataset.theme === "dark";
    docfleetTheme.choose(dark ? "light" : "dark");
  };

  // --- clicks on what the frame drew

  document.addEventListener("click", (event) => {
    const act = event.target.closest?.("[data-act]")?.dataset.act;
    if (act === "side") side(!document.body.classList.contains("side-open"));
    else if (act === "close-side") side(false);
    else if (act === "theme") theme();
    else if (act === "help") help();
  });

  document.addEventListener("submit", (event) => {
    if (event.target.dataset?.act !== "sign-out") return;
    window.docfleet.leaving = true;
    tabs?.postMessage("signed-out");
  });

  tabs?.addEventListener("message", (event) => {
    if (event.data === "signed-out") location.assign(`${base}/sign-in`);
  });

  // --- who looks

  const tellShown = () => {
    if (typeof emitEvent === "function" && document.getElementById("main"))
      emitEvent("docfleet_shown", document.visibilityState === "visible");
  };
  document.addEventListener("visibilitychange", tellShown);

  // --- times, in the zone of whoever looks

  const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
  const tellTime = (element) => {
    const at = new Date(element.dateTime);
    if (!Number.isNaN(at.getTime())) element.textContent = clock.format(at);
  };
  const tellTimes = (node) => {
    if (node.nodeType !== Node.ELEMENT_NODE) return;
    if (node.matches("time[datetime]")) tellTime(node);
    for (const one of node.querySelectorAll("time[datetime]")) tellTime(one);
  };
  new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.type === "attributes") tellTime(change.target);
      else change.addedNodes.forEach(tellTimes);
    }
  }).observe(document.documentElement, { subtree: true, childList: true, attributeFilter: ["datetime"] });
  tellTimes(document.documentElement);

  // --- keyboard

  const shortcuts = () =>
    [...document.querySelectorAll("[data-shortcut]")].map((link) => [
      `g ${link.dataset.shortcut}`,
      link.lastElementChild.textContent,
    ]);

  const isTyping = (target) => target.closest?.("input, textarea, select, [contenteditable=true]");
  let pending = "";
  let timer = 0;

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      side(false);
      document.getElementById("keys")?.close();
      return;
    }
    if (isTyping(event.target)) return;
    if (pending === "g") {
      pending = "";
      clearTimeout(timer);
      const link = document.querySelector(`[data-shortcut="${CSS.escape(event.key)}"]`);
      if (link) {
        event.preventDefault();
        link.click();
      }
      return;
    }
    if (event.key === "g") {
      pending = "g";
      timer = setTimeout(() => (pending = ""), 1500);
    } else if (event.key === "/") {
      const search = document.querySelector("[data-search] input, input[data-search]");
      if (search) {
        event.preventDefault();
        search.focus();
        search.select?.();
      }
    } else if (event.key === "?") {
      help();
    } else if (event.key === "t") {
      theme();
    }
  });

  function help() {
    let dialog = document.getElementById("keys");
    if (!dialog) {
      dialog = document.createElement("dialog");
      dialog.id = "keys";
      dialog.setAttribute("aria-labelledby", "keys-title");
      document.body.append(dialog);
      dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    }
    const title = Object.assign(document.createElement("h2"), { id: "keys-title", textContent: "Keyboard" });
    const list = document.createElement("dl");
    const own = [...document.querySelectorAll("[data-keys]")].flatMap((one) =>
      one.dataset.keys.split(";").map((pair) => pair.split("=")),
    );
    const search = document.querySelector("[data-search]") ? [["/", "Search"]] : [];
    const rows = [...shortcuts(), ...search, ["t", "Light or dark"], ...own];
    for (const [keys, name] of [...rows, ["?", "This list"]]) {
      const term = document.createElement("dt");
      for (const key of keys.trim().split(" ")) {
        term.append(Object.assign(document.createElement("kbd"), { textContent: key }));
      }
      list.append(term, Object.assign(document.createElement("dd"), { textContent: name }));
    }
    const close = Object.assign(document.createElement("button"), { type: "button", textContent: "Close" });
    close.addEventListener("click", () => dialog.close());
    dialog.replaceChildren(title, list, close);
    if (!dialog.open) dialog.showModal();
  }
})();
