"""What every page of the console is checked for; used by the tests of all pages."""

from __future__ import annotations

from typing import Any

_CONTRAST = """
() => {
  const luminance = ([r, g, b]) => {
    const linear = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const parse = (color) => {
    const found = color.match(/[\\d.]+/g).map(Number);
    return { rgb: found.slice(0, 3), alpha: found.length > 3 ? found[3] : 1 };
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const { rgb, alpha } = parse(getComputedStyle(one).backgroundColor);
      if (alpha === 1) return rgb;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const seen = (element) => {
    const box = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    return box.width > 1 && box.height > 1 && style.visibility === "visible" && style.opacity === "1";
  };
  for (const element of document.body.querySelectorAll("*")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!text || element.closest("[aria-hidden=true], svg, script, style") || !seen(element)) continue;
    const style = getComputedStyle(element);
    const [light, dark] = [luminance(parse(style.color).rgb), luminance(behind(element))].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) poor.push(`${ratio.toFixed(2)} ${element.textContent.trim().slice(0, 40)}`);
  }
  return poor;
}
"""
_NAMELESS = """
() => [...document.querySelectorAll("button, a[href], input, select, textarea, [role=button], [role=img]")]
  .filter((one) => one.offsetParent && !one.closest("[aria-hidden=true]"))
  .filter((one) => {
    const labelled = one.getAttribute("aria-labelledby") || one.id && document.querySelector(`label[for="${one.id}"]`);
    const text = [...one.querySelectorAll("*"), one].flatMap((part) =>
      part.closest("[aria-hidden=true]") ? [] : [...part.childNodes].filter((node) => node.nodeType === 3));
    return !one.getAttribute("aria-label") && !labelled && !one.closest("label") &&
      !text.some((node) => node.textContent.trim()) && one.type !== "hidden";
  })
  .map((one) => one.outerHTML.slice(0, 160))
"""


def check_page(page: Any) -> None:
    """A title, one heading and one main part; text that can be read (WCAG AA); names for all that can be pressed;
    nothing wider than the window."""
    assert page.title().endswith("docfleet")
    assert page.locator("h1").count() == 1
    assert page.locator("main").count() == 1
    assert page.evaluate(_CONTRAST) == []
    assert page.evaluate(_NAMELESS) == []
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
