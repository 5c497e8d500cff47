// The page's own behaviour. All data comes from server-made, escaped HTML; this file makes no HTML of its own.
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const send = (name, data = {}) => {
    if (changing.has(name) && window.citewiseSend) unheard += 1;
    window.citewiseSend?.(name, data);
  };
  const box = () => $("#question textarea");
  const narrow = matchMedia("(max-width: 56.3em)");  // as in the style sheet, where a larger letter counts as a narrower screen

  // Gradio sends each event by a request of its own; two that follow each other quickly must not overtake one another.
  const fetched = window.fetch;
  let sent = Promise.resolve();
  window.fetch = (where, how) => {
    const address = String(where?.url ?? where);
    if (address.includes("/queue/data")) return fetched(where, how).then((response) => { heed(response.clone()); return response; });
    if (!address.includes("/queue/join")) return fetched(where, how);
    const taken = sent.then(quiet).then(() => fetched(where, how));
    sent = taken.then((response) => response.clone().json()).then(({ event_id }) => { open.add(event_id); }).catch(() => {});
    return taken;
  };
  // Its client may close the stream of what the server tells upon an event that was sent this moment; the next event opens
  // the stream again, and all that was told meanwhile comes.
  const open = new Set();  // events that were sent and not yet ended
  let vain = 0;  // how often it was opened since one ended: never for ever, should Gradio once tell of the end in other words
  // An event that is sent while the stream is being closed may be lost by the server too: the next one waits until what
  // was sent before it has ended and the stream with it, or is seen to take longer, so that the stream stays open.
  let streams = 0, waiters = [];
  const quiet = () => new Promise((resolve) => {
    if (!streams && !open.size) return resolve();
    waiters.push(resolve);
    setTimeout(resolve, 250);
  });
  async function heed(stream) {
    streams += 1;
    const reader = stream.body.getReader(), decoder = new TextDecoder();
    let line = "";
    try {
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const lines = (line + decoder.decode(part.value, { stream: true })).split("\n");
        line = lines.pop();
        for (const whole of lines) {
          const ended = /^data:.*"process_completed"/.test(whole) && JSON.parse(whole.slice(5)).event_id;
          if (ended) { open.delete(ended); vain = 0; }
        }
      }
    } catch { }  // the client has closed it
    streams -= 1;
    if (!streams && !open.size) { waiters.forEach((resolve) => resolve()); waiters = []; }
    setTimeout(() => { if (open.size && vain < 3) { vain += 1; open.clear(); send("kept"); } }, 100);
  }

  // The server takes up events side by side, and with each what is chosen at that moment. So a question waits until all
  // that was chosen before it has been heard: filters, a conversation; first of all what the page arrives with.
  const changing = new Set(["filter", "restart", "open", "alter"]);
  let unheard = 1, waiting = null;
  window.citewiseHeard = () => {
    unheard = Math.max(0, unheard - 1);
    if (unheard > 0 || !waiting) return;
    const data = waiting;
    waiting = null;
    running(true);
    send("ask", data);
  };

  // Mathematics: an element of its own with a shadow root, so that redrawing the text around it cannot harm it.
  const katex = { module: null, sheet: null };
  const loadKatex = () => (katex.module ??= (async () => {
    const { js, css } = $('meta[name="citewise-katex"]').dataset;
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: css });
    document.head.append(link);  // the fonts
    katex.sheet = new CSSStyleSheet();
    katex.sheet.replaceSync((await (await fetch(css)).text()).replace(/@font-face\{[^}]*\}/g, "").replace(/\.gradio-container-[\w-]+\s+/g, ""));  // Gradio's prefix does not reach in here
    return (await import(new URL(js, document.baseURI))).default;
  })());
  customElements.define("x-tex", class extends HTMLElement {
    static observedAttributes = ["tex"];
    connectedCallback() { this.draw(); }
    attributeChangedCallback() { if (this.isConnected) this.draw(); }
    async draw() {
      const tex = this.getAttribute("tex");
      try {
        const engine = await loadKatex();
        const root = this.shadowRoot ?? this.attachShadow({ mode: "open" });
        root.adoptedStyleSheets = [katex.sheet];
        engine.render(tex, root, { throwOnError: true, trust: false, displayMode: this.hasAttribute("display"), maxExpand: 200, maxSize: 20 });
      } catch { if (this.shadowRoot) this.shadowRoot.textContent = this.textContent; }
    }
  });

  // The panel at the side shows the sources of one exchange, and marks the sentences that support one sentence of it.
  const panel = () => $("#evidence");
  let looked = null;
  function show(turn, source, sentence, { open = true } = {}) {
    const article = turn?.closest(".turn"), store = article && $(".evidence", article), shown = $(".shown", panel());
    if (!store) return;
    if (looked !== article || shown.dataset.of !== store.innerHTML.length + ":" + article.dataset.turn) {
      shown.replaceChildren(...[...store.childNodes].map((node) => node.cloneNode(true)));
      shown.dataset.of = store.innerHTML.length + ":" + article.dataset.turn;
      looked = article;
      if (shown.dataset.turn !== article.dataset.turn) panel().scrollTo({ top: 0 });
      shown.dataset.turn = article.dataset.turn;
    }
    if (source === undefined) return;
    if (open) document.body.classList.add("side-open");
    const card = $(`.source[data-source="${Number(source)}"]`, shown);
    if (!card) return;
    all(".source", shown).forEach((other) => other.classList.toggle("active", other === card));
    card.open = true;
    const marks = all("mark", card), own = marks.filter((mark) => sentence === undefined || mark.dataset.for.split(" ").includes(sentence));
    all("mark", shown).forEach((mark) => mark.classList.toggle("strong", own.includes(mark)));
    const target = own[0] ?? card, top = card.offsetTop - 12 - $(".close", panel()).offsetHeight;
    const low = target.offsetTop + target.offsetHeight > top + panel().clientHeight;
    panel().scrollTo({ top: low ? target.offsetTop - panel().clientHeight / 3 : top, behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }

  // A marker opened by the keyboard takes the focus to its source, and Escape takes it back.
  let came = null;
  const follow = (cite) => { came = cite; $(".source.active summary", panel())?.focus({ preventScroll: true }); };
  const closeSide = () => {
    document.body.classList.remove("side-open");
    if (panel()?.contains(document.activeElement)) came?.focus();
    came = null;
  };
  const drawer = (open) => {
    document.body.classList.toggle("drawer-open", open);
    $('[data-do="drawer"]')?.setAttribute("aria-expanded", String(open));
    if (open) { send("kept"); $("#looked-for textarea, #looked-for input")?.focus(); }
  };
  function view(name) {
    document.body.dataset.view = name;
    all("nav [data-view]").forEach((item) => item.dataset.view === name ? item.setAttribute("aria-current", "page") : item.removeAttribute("aria-current"));
    drawer(false); closeSide();
    if (name === "map") { $("#map-view")?.classList.add("drawing"); send("draw"); }
  }
  // For those who do not see the answer come.
  const say = (words) => { const said = $("#said"); if (said && said.textContent !== words) said.textContent = words; };
  let halted = false;  // before the server had begun with the question
  const running = (yes) => { if (yes) { halted = false; say("Searching the abstracts"); } document.body.classList.toggle("running", yes); const go = $("#go"); if (go) go.textContent = yes ? "Stop" : "Ask"; };
  const busy = () => document.body.classList.contains("running");
  const stop = () => { waiting = null; send("halt"); halted = !$("#live .turn"); if (halted) running(false); };
  const ask = (data) => {  // one question at a time
    if (busy()) return;
    running(true);
    if (unheard === 0) return void send("ask", data);
    waiting = data;
    setTimeout(() => { if (waiting === data) { unheard = 0; window.citewiseHeard(); } }, 15000);  // the line may have broken
  };
  let asked = null;  // what was in the box; it is emptied once its question is taken, unless the next one is typed by then
  function askBox(event) {
    if (!box()?.value.trim()) return;
    asked = box().value;
    if (unheard === 0) return running(true);  // Gradio sends it
    event.preventDefault(); event.stopPropagation();
    ask({ text: asked });
  }
  function emptyBox() {
    if (asked === box()?.value) { box().value = ""; box().dispatchEvent(new Event("input", { bubbles: true })); }
    asked = null;
  }
  function setTheme(dark) { document.body.classList.toggle("dark", dark); document.documentElement.style.colorScheme = dark ? "dark" : "light"; }

  async function copy(article, button) {
    const { text: said } = $(".answer, .abstained", article).dataset;
    const sources = all(".evidence .source", article).map((card) => `[${card.dataset.source}] ${$("summary b", card).textContent}`);
    const text = [said, "", ...sources].join("\n");
    try { await navigator.clipboard.writeText(text); } catch {
      const area = Object.assign(document.createElement("textarea"), { value: text });
      document.body.append(area); area.select(); document.execCommand("copy"); area.remove();
    }
    button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }
  // What is being written in a turn, a remark or its question in other words, stays when the next answer is drawn:
  // Gradio lays the new HTML over the old and so hides such a box again, but what was typed is still in it.
  const writing = new Map();  // an open box: the turn that it belongs to
  const whose = (area) => {
    const turn = area.closest(".turn");
    return [turn.parentElement.dataset.conversation, turn.dataset.turn, $(".question", turn).dataset.text].join();
  };
  const unfold = (area, open) => area.matches(".remark") ? area.hidden = !open : area.classList.toggle("edited", open);
  function write(area, open) {
    unfold(area, open);
    if (open) writing.set(area, whose(area)); else writing.delete(area);
  }
  function goOnWriting() {
    for (const [area, turn] of writing) {
      if (area.isConnected && whose(area) === turn) unfold(area, true); else writing.delete(area);
    }
  }
  function edit(article) {
    const area = $(".rewrite textarea", article);
    area.value = area.defaultValue;
    write(area, true);
    area.focus();
  }
  const giveUp = (area) => { write(area, false); $('[data-do="edit"]', area.closest(".turn")).focus(); };
  function askAgain(area) {
    if (busy() || !area.value.trim()) return;
    write(area, false);
    box()?.focus();
    ask({ text: area.value, turn: area.closest(".turn").dataset.turn });
  }
  window.citewiseSay = say;
  window.citewiseSave = (file) => {
    if (!file?.text && file?.text !== "") return;
    const url = URL.createObjectURL(new Blob([file.text], { type: file.type }));
    const link = Object.assign(document.createElement("a"), { href: url, download: file.name });
    link.click(); setTimeout(() => URL.revokeObjectURL(url), 1000);
  };

  // The form of filters follows the chips where something else than the form changed them: at once where it is known
  // what will become of them, as the form may be used again before the answer is there.
  function cleared(wanted) {
    const form = $(".filter-form");
    if (!form) return;
    all('input[type="checkbox"]', form).filter(wanted).forEach((input) => { input.checked = false; });
    all('input[type="range"]', form).filter(wanted).forEach((input) => { input.value = input[input.name === "year_from" ? "min" : "max"]; });
    span(form);
  }
  let stale = false, chipped = "";
  function reflect() {
    const form = $(".filter-form"), chips = $("#chips .chips")?.innerHTML ?? "";
    if (chips === chipped) return;  // Gradio stirs the part while it waits, too
    chipped = chips;
    if (!stale || !form) return;
    stale = false;
    const set = all("#chips .chip").map((chip) => chip.dataset);
    all('input[type="checkbox"]', form).forEach((input) => {
      input.checked = set.some(({ field, value }) => field === input.name && value === input.value);
    });
    const years = set.find(({ field }) => field === "years")?.value.split("-") ?? [];
    all('input[type="range"]', form).forEach((input, place) => { input.value = years[place] || input[place ? "max" : "min"]; });
    span(form);
  }
  function span(form) {
    const ends = all('input[type="range"]', form);
    if (!ends.length) return;
    const [from, to] = ends.map((input) => Number(input.value)).sort((a, b) => a - b);
    $("output", form).textContent = `${from} – ${to}`;
    all(".bars i", form).forEach((bar) => bar.classList.toggle("out", bar.dataset.year < from || bar.dataset.year > to));
  }

  // One paper in full, beside the table or the map; the keyboard follows it there and back.
  let opener = null, byKeyboard = false;
  function opened(name, part, data, button) {
    opener = button;
    const room = $(part);
    room.hidden = false;
    all('#table [aria-current]').forEach((other) => other.removeAttribute("aria-current"));
    if (button?.closest("#table")) button.setAttribute("aria-current", "true");
    send(name, data);
    if (narrow.matches) room.scrollIntoView({ block: "start" }); else room.parentElement.scrollTo({ top: 0 });
  }

  const ordering = { order: "added" };
  const actions = {
    ask: ({ text }) => ask({ text }),
    retry: ask,
    unhear: (data) => { stale = true; ask(data); },
    edit: (_, button) => edit(button.closest(".turn")),
    "give-up": (_, button) => giveUp($("textarea", button.form)),
    copy: (_, button) => copy(button.closest(".turn"), button),
    sources: (_, button) => { show(button, "1"); },
    export: (data, button) => { send("export", data); const menu = button.closest("details"); if (menu) menu.open = false; },
    rate: (data, button) => {
      const on = button.getAttribute("aria-pressed") !== "true";
      all('[data-do="rate"]', button.parentElement).forEach((other) => other.setAttribute("aria-pressed", String(on && other === button)));
      send("rate", { ...data, rating: on ? data.rating : "0", remark: "" });
      const form = $(".remark", button.closest(".turn"));
      write(form, on); form.remark.value = "";
      if (on) form.remark.focus();
    },
    only: (data) => { send("filter", data); view("ask"); box()?.focus(); },
    exclude: (data) => { send("filter", data); view("ask"); },
    drop: (data) => { cleared(({ type, name, value }) => type === "range" ? data.field === "years" : data.field === name && data.value === value); send("filter", data); },
    "clear-filters": () => { cleared(() => true); send("filter", { do: "clear" }); },
    like: (data) => { view("ask"); document.body.classList.add("side-open"); send("similar", data); },
    new: () => { view("ask"); send("restart"); box()?.focus(); },
    drawer: () => drawer(!document.body.classList.contains("drawer-open")),
    open: (data) => { view("ask"); send("open", data); },
    rename: (data) => { const title = prompt("Title", data.title); if (title) send("alter", { ...data, title }); },
    delete: (data) => { if (confirm("Delete this conversation?")) send("alter", data); },
    dark: () => { const dark = !document.body.classList.contains("dark"); setTheme(dark); localStorage.setItem("citewise-theme", dark ? "dark" : "light"); },
    "close-side": closeSide,
    "map-paper": (data, button) => opened("place", "#map-paper", data, button),
    paper: (data, button) => opened("paper", "#detail", data, button),
    "close-paper": (_, button) => { button.closest("#detail, #map-paper").hidden = true; opener?.focus(); },
    remove: (data) => { if (confirm(`Remove “${data.title}” from the library?`)) send("remove", data); },
    sort: (data) => { ordering.order = ordering.order === data.order ? "added" : data.order; send("browse", { ...ordering, offset: "0" }); },
    page: (data) => send("browse", { ...ordering, ...data }),
    "to-add": () => $("#adding").scrollIntoView({ block: "start" }),
    report: () => send("report"),
    "cancel-ingest": (_, button) => { button.disabled = true; button.textContent = "Cancelling…"; send("cancel"); },
  };
  // A button that is drawn anew between press and release is the same button to the hand; browsers hear no click then.
  let pressed = null;
  const pressable = (event) => event.button === 0 ? event.target.closest?.("[data-do], .cite, .near") : null;
  document.addEventListener("pointerdown", (event) => { pressed = pressable(event); }, true);
  document.addEventListener("pointerup", (event) => {
    const was = pressed, now = pressable(event);
    pressed = null;
    if (!was || !now || was.isConnected || JSON.stringify(was.dataset) !== JSON.stringify(now.dataset)) return;
    now.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, detail: 1 }));
  }, true);

  document.addEventListener("click", (event) => {
    const target = event.target;
    all("details.menu[open]").forEach((menu) => { if (!menu.contains(target)) menu.open = false; });
    const go = target.closest("#go");
    if (go && busy()) { event.stopPropagation(); event.preventDefault(); return stop(); }
    if (go) askBox(event);
    const cite = target.closest(".cite, .near");
    if (cite) { show(cite, cite.dataset.source, cite.dataset.sentence); if (!event.detail) follow(cite); return; }
    const button = target.closest("[data-do], [data-view]");
    if (!button || button.tagName === "BODY") { if (!target.closest("#drawer, #evidence")) drawer(false); return; }
    if (button.dataset.view) return view(button.dataset.view);
    byKeyboard = !event.detail;
    actions[button.dataset.do]?.({ ...button.dataset }, button);
  }, true);
  // A marker that comes under a mouse at rest, because the page moved, was not pointed at.
  let hovering, rested;
  const place = (event) => `${event.screenX} ${event.screenY}`;
  document.addEventListener("mousemove", (event) => { rested = place(event); }, { passive: true });
  document.addEventListener("mouseover", (event) => {
    const cite = event.target.closest?.(".cite");
    clearTimeout(hovering);
    if (cite && !narrow.matches && place(event) !== rested) hovering = setTimeout(() => show(cite, cite.dataset.source, cite.dataset.sentence, { open: false }), 120);
  });

  const chosen = (form) => {
    const of = (name) => all(`input[name="${name}"]:checked`, form).map((input) => input.value);
    const data = { do: "set", venues: of("venues"), sources: of("sources"), has_code: of("has_code").length > 0 };
    const first = $('[name="year_from"]', form), last = $('[name="year_to"]', form);
    if (first && last) {
      const [from, to] = [Number(first.value), Number(last.value)].sort((a, b) => a - b);
      if (from > Number(first.min)) data.year_from = from;
      if (to < Number(first.max)) data.year_to = to;
    }
    return data;
  };
  document.addEventListener("input", (event) => {
    const form = event.target.closest(".filter-form");
    if (!form || event.target.type !== "range") return;
    span(form);
  });
  document.addEventListener("change", (event) => {
    const form = event.target.closest(".filter-form");
    if (form) send("filter", chosen(form));
  });
  document.addEventListener("submit", (event) => {
    const form = event.target.closest(".filter-form, .remark, .rewrite");
    if (!form) return;
    event.preventDefault();
    if (form.matches(".rewrite")) askAgain($("textarea", form));
    if (!form.matches(".remark")) return;
    const vote = $('[data-do="rate"][aria-pressed="true"]', form.closest(".turn"));
    if (vote) send("rate", { turn: form.dataset.turn, rating: vote.dataset.rating, remark: form.remark.value });
    write(form, false); vote?.focus();
  });

  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "");
    const edited = event.target.closest?.(".edited");
    if (edited && event.key === "Escape") giveUp(edited);
    else if (edited && event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); askAgain(edited); }
    else if (event.key === "Escape") {
      if (busy()) stop();
      closeSide(); drawer(false);
      all("details.menu[open]").forEach((menu) => { menu.open = false; });
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing && document.activeElement === box()) {
      if (busy()) { event.preventDefault(); event.stopPropagation(); } else askBox(event);
    }
    else if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); view("ask"); box()?.focus(); }
  }, true);

  // What Gradio draws is followed in the same task, so that nobody sees or uses a turn whose sources are not there yet.
  let newest, reading, answered = 0;
  function follows() {
    const live = $("#live .turn"), turns = all("#finished .turn"), last = live ?? turns.at(-1);
    const list = $("#finished .turns"), id = list?.dataset.conversation ?? "", url = new URL(location);
    id ? url.searchParams.set("c", id) : url.searchParams.delete("c");
    if ((list || $("#welcome .welcome")) && url.href !== location.href) history.replaceState(null, "", url);
    goOnWriting();
    if (live && live !== reading && $(".evidence", live)) { reading = live; show(live); }  // what was found, as soon as it is
    if (last === newest) return;  // something inside a turn
    newest = last;
    clearTimeout(hovering);  // it was for what was there before
    if (live && halted) send("halt");
    running(Boolean(live) || waiting !== null);
    if (last) emptyBox();
    if (!live && turns.length > answered) say($(".abstained", last) ? "The abstracts do not answer this" : $(".problem", last) ? "Something went wrong" : "The answer is there");
    answered = turns.length;
    document.body.classList.toggle("begun", Boolean(last));
    if (!last) { $(".shown", panel()).replaceChildren(); looked = null; return; }
    show(last);
    requestAnimationFrame(() => { if (last === newest) toBegin(last); });
  }
  function toBegin(turn) {
    const room = $("#conversation"), fits = turn.offsetHeight < room.clientHeight - 40;
    room.scrollTo({ top: fits ? room.scrollHeight : turn.offsetTop - 16 });
  }
  function begin() {
    const parts = ["#finished", "#live", "#welcome", "#similar", "#map", "#map-notice", "#chips", "#detail", "#map-paper", "#report"].map((name) => $(name));
    if (parts.some((part) => !part) || !panel()) return void setTimeout(begin, 50);
    const theme = localStorage.getItem("citewise-theme");
    if (theme) setTheme(theme === "dark");
    const opened = document.body.classList.contains("drawer-open");
    view(document.body.dataset.view ?? "ask");  // on a slow machine somebody may have chosen one by now
    if (opened) drawer(true);
    const top = $("#top");  // higher where its words need a second line
    new ResizeObserver(() => document.body.style.setProperty("--top", `${top.offsetHeight}px`)).observe(top);
    const drawn = new MutationObserver(follows);
    parts.slice(0, 3).forEach((part) => drawn.observe(part, { childList: true, subtree: true }));
    new MutationObserver(() => {
      const found = $("#similar h2");
      if (found) { const root = found.parentElement; $(".shown", panel()).replaceChildren(...[...root.childNodes].map((node) => node.cloneNode(true))); looked = null; panel().scrollTo({ top: 0 }); }
    }).observe($("#similar"), { childList: true, subtree: true, characterData: true });
    // Gradio makes a new plot for each figure; its points carry the ids of their papers.
    new MutationObserver(() => {
      const plot = $("#map .js-plotly-plot");
      if (plot?.on && !plot.dataset.heard) {
        plot.dataset.heard = "yes";
        plot.on("plotly_click", ({ points }) => actions["map-paper"]({ paper: points[0].customdata }));
      }
    }).observe($("#map"), { childList: true, subtree: true });
    new MutationObserver(() => $("#map-view").classList.remove("drawing")).observe($("#map-notice"), { childList: true, subtree: true, characterData: true });
    new MutationObserver(reflect).observe($("#chips"), { childList: true, subtree: true, characterData: true, attributes: true });
    ["#detail", "#map-paper"].forEach((part) => new MutationObserver(() => {
      if (byKeyboard && document.activeElement === opener) $(`${part} h2`)?.focus({ preventScroll: true });
    }).observe($(part), { childList: true, subtree: true, characterData: true }));
    let told = "";
    new MutationObserver(() => {  // progress, then the report: each comes into sight once the form has its height again
      const now = $("#report :is(.progress, .report, .problem)")?.className ?? "";
      if (now && now !== told) setTimeout(() => $("#report").scrollIntoView({ block: "nearest" }), now === "report" ? 600 : 100);
      told = now;
    }).observe($("#report"), { childList: true, subtree: true });
    follows();
  }
  document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", begin) : begin();
})();
