// Keeps a page current. An element with `data-live` names the server-sent events to listen to; at each event named in
// `data-on`, every element with `data-fragment` is replaced by its namesake of the same page, fetched anew.
"use strict";

const live = document.querySelector("[data-live]");
if (live && "EventSource" in window) {
  const source = new EventSource(live.dataset.live);
  let waiting = false, missed = false;

  async function refresh() {
    missed = waiting;
    if (waiting) return;
    waiting = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok || answer.redirected) return source.close();
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-fragment]")) {
        const name = CSS.escape(old.dataset.fragment);
        const next = fresh.querySelector(`[data-fragment="${name}"]`);
        // What a person is using stays as it is.
        if (next && !old.contains(document.activeElement) && old.innerHTML !== next.innerHTML) {
          old.replaceWith(document.adoptNode(next));
        }
      }
      if (!fresh.querySelector("[data-live]")) source.close();
    } catch {
      // The next event tries again.
    } finally {
      // An event that came meanwhile may be the last one: what it tells must be shown, too.
      setTimeout(() => { waiting = false; if (missed) refresh(); }, 1000);
    }
  }

  for (const name of live.dataset.on.split(" ")) source.addEventListener(name, refresh);
}
