// Before anything is drawn: light or dark, as chosen here or as the system has it.
"use strict";
(() => {
  const wanted = () => {
    try {
      return localStorage.getItem("docfleet_theme") || "auto";
    } catch {
      return "auto";
    }
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const theme = wanted();
    const dark = theme === "dark" || (theme === "auto" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    document.documentElement.style.colorScheme = dark ? "dark" : "light";
    if (window.Quasar) Quasar.Dark.set(dark);
  };
  system.addEventListener("change", apply);
  addEventListener("storage", (event) => event.key === "docfleet_theme" && apply());
  addEventListener("DOMContentLoaded", () => setTimeout(apply, 0));
  addEventListener("load", apply);
  apply();
  window.docfleetTheme = {
    wanted,
    choose(theme) {
      try {
        localStorage.setItem("docfleet_theme", theme);
      } catch {
        // private windows: for this page only
      }
      document.documentElement.dataset.theme = theme;
      apply();
    },
  };
})();
