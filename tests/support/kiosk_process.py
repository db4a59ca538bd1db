"""The kiosk as a process of its own, and the keys a person without a mouse has."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-background-networking"]

# What a screen reader and a finger need of every page: a name on each control, and enough to touch.
AUDIT = """() => {
  const problems = [];
  const shown = (e) => e.getClientRects().length && getComputedStyle(e).visibility !== "hidden";
  for (const e of document.querySelectorAll("input:not([type=hidden])"))
    if (!e.labels.length && !e.getAttribute("aria-label")) problems.push("no label: " + e.outerHTML);
  for (const e of document.querySelectorAll("button, a[href], summary")) {
    if (!shown(e) || e.closest(".skip")) continue;
    if (!(e.getAttribute("aria-label") || e.textContent).trim()) problems.push("no name: " + e.outerHTML);
    const box = e.getBoundingClientRect();
    if (box.height < 44 || box.width < 24) problems.push(`small (${box.width}x${box.height}): ` + e.outerHTML);
  }
  for (const e of document.querySelectorAll("img")) if (!e.alt) problems.push("no words: " + e.outerHTML);
  if (document.querySelectorAll("h1").length !== 1) problems.push("not one h1");
  for (const e of document.querySelectorAll("main *"))
    if (shown(e) && e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".unseen, .choice input"))
      problems.push("beyond the screen: " + e.outerHTML.slice(0, 90));
  return problems;
}"""


@contextmanager
def running_kiosk(home: Path) -> Iterator[str]:
    """Run the kiosk of a unit and give its address."""
    command = [sys.executable, "-m", "eyebright_common", "edge", "kiosk", "--home", str(home), "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "http://127.0.0.1:" in line, line
            yield line.split()[-1].rstrip("/")
        finally:
            process.terminate()


def tab_to(page: Any, selector: str) -> None:
    """Press Tab until the control has the focus."""
    for _ in range(60):
        if page.evaluate("(s) => document.activeElement?.matches(s) ?? false", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not reach {selector} on {page.url}")
