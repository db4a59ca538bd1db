// Comfort on top of plain forms: a keypad for touch, pictures as they arrive, the lock after a pause. No page needs it.
"use strict";

const MODES = {
  pin: ["12345", "67890"],
  digits: ["1234567890"],
  code: ["1234567890", "QWERTYUIOP", "ASDFGHJKL-", "ZXCVBNM"],
};

function keypad(box) {
  const input = document.getElementById(box.dataset.for);
  const press = (change) => {
    input.value = change(input.value).slice(0, input.maxLength);
    input.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const key = (label, name, change) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "key";
    button.textContent = label;
    // The keyboard reaches the field itself: thirty keys between two fields would only be in its way.
    button.tabIndex = -1;
    if (name) button.setAttribute("aria-label", name);
    button.addEventListener("click", () => press(change));
    return button;
  };
  box.setAttribute("role", "group");
  box.dir = "ltr";
  for (const row of MODES[input.dataset.keys]) {
    const line = document.createElement("div");
    for (const sign of row) line.append(key(sign, "", (value) => value + sign));
    box.append(line);
  }
  box.lastElementChild.append(key("⌫", box.dataset.delete, (value) => value.slice(0, -1)));
}

function pictures(place) {
  let shown = place.innerHTML.replace(/\s+/g, " ");
  setInterval(async () => {
    if (document.hidden || document.body.classList.contains("busy")) return;
    let answer;
    try {
      answer = await fetch(place.dataset.source, { credentials: "same-origin", redirect: "error" });
    } catch {
      return; // The unit is restarting; the next look will tell.
    }
    if (answer.status === 401) return location.reload();
    if (answer.status !== 200) return;
    const text = await answer.text();
    const plain = text.replace(/\s+/g, " ");
    if (plain.trim() === shown.trim()) return;
    shown = plain;
    const fresh = new DOMParser().parseFromString(text, "text/html").body;
    place.replaceChildren(...fresh.childNodes);
    const first = place.querySelector(".offer.first .primary");
    if (first && !place.contains(document.activeElement)) first.focus();
    if (first) first.scrollIntoView({ block: "nearest" });
  }, 1000);
}

function busy(form) {
  document.body.classList.add("busy");
  const line = document.createElement("p");
  line.className = "judging";
  line.setAttribute("role", "status");
  line.textContent = form.dataset.busy;
  document.body.append(line);
}

function idle(seconds) {
  let touched = Date.now();
  let told = touched;
  const touch = () => {
    touched = Date.now();
    // The unit counts requests, not key strokes: tell it that somebody is there.
    if (touched - told > (1000 * seconds) / 4) {
      told = touched;
      fetch("/alive", { method: "POST", body: "" }).catch(() => {});
    }
  };
  for (const kind of ["pointerdown", "keydown", "input", "scroll"]) addEventListener(kind, touch, { passive: true });
  setInterval(() => {
    if (Date.now() - touched > 1000 * seconds) location.replace(`/lock?paused=1&next=${encodeURIComponent(location.pathname)}`);
  }, 1000);
}

function opacity(slider) {
  const apply = () => {
    for (const layer of document.querySelectorAll(".over")) layer.style.opacity = slider.value / 100;
    document.querySelector("output[for=opacity]").textContent = `${slider.value} %`;
  };
  slider.addEventListener("input", apply);
  apply();
}

document.querySelectorAll(".keys").forEach(keypad);
document.querySelectorAll("#waiting").forEach(pictures);
document.querySelectorAll("#opacity").forEach(opacity);
document.querySelectorAll(".layers img").forEach((image) => {
  const gone = () => {
    image.parentElement.textContent = image.parentElement?.dataset.gone ?? "";
  };
  image.addEventListener("error", gone, { once: true });
  if (image.complete && !image.naturalWidth) gone();
});
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!("busy" in form.dataset || "once" in form.dataset)) return;
  // A second tap while the first is on its way.
  if (document.body.classList.contains("sent")) return event.preventDefault();
  document.body.classList.add("sent");
  if (form.dataset.busy) busy(form);
});
addEventListener("pageshow", () => document.body.classList.remove("busy", "sent"));
document.querySelectorAll("[data-print]").forEach((button) =>
  button.addEventListener("click", () => {
    fetch(button.dataset.print, { method: "POST", body: "" }).catch(() => {});
    print();
  }),
);
const seconds = Number(document.body.dataset.idle);
if (seconds) idle(seconds);
