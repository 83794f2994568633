// Refreshes the page: fetches it every two seconds and changes only what differs,
// so that nothing flickers and focus, selection and half-filled forms stay.
"use strict";
(() => {
  const every = 2000;
  const status = document.getElementById("status");
  let timer = 0;
  let busy = false;

  function morph(have, want) {
    if (have.isEqualNode(want)) return;
    if (have.nodeName !== want.nodeName) {
      have.replaceWith(document.importNode(want, true));
      return;
    }
    if (have.nodeType !== Node.ELEMENT_NODE) {
      have.nodeValue = want.nodeValue;
      return;
    }
    if (have.hasAttribute("data-keep")) return; // a rejected form and the reason, until it is sent again
    for (const { name } of [...have.attributes]) {
      if (name !== "open" && !want.hasAttribute(name)) have.removeAttribute(name);
    }
    for (const { name, value } of want.attributes) {
      if (have.getAttribute(name) !== value) have.setAttribute(name, value);
    }
    const old = [...have.childNodes];
    const now = [...want.childNodes];
    now.forEach((node, i) => {
      if (i < old.length) morph(old[i], node);
      else have.append(document.importNode(node, true));
    });
    old.slice(now.length).forEach((node) => node.remove());
  }

  function showStatus(state, text) {
    if (status.dataset.state === state) return;
    status.dataset.state = state;
    status.textContent = text;
  }

  async function refresh() {
    if (busy) return;
    busy = true;
    clearTimeout(timer);
    try {
      const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(10000) });
      if (!answer.ok) throw new Error(answer.statusText);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      morph(document.getElementById("live"), fresh.getElementById("live"));
      showStatus("live", "Live");
    } catch {
      showStatus("lost", "No answer, retrying");
    }
    busy = false;
    if (!document.hidden) timer = setTimeout(refresh, every);
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) refresh();
  });
  showStatus("live", "Live");
  timer = setTimeout(refresh, every);
})();
