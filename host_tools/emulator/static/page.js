"use strict";
// The page is one more pair of hands: it sends key presses, cards and switches,
// and draws what the virtual chips show. It knows nothing of payments.
const $ = (id) => document.getElementById(id);
const LABELS = { up: "▲", down: "▼", ".": "·" };
const SPOKEN = { up: "up", down: "down", ".": "point", cancel: "cancel", clear: "clear", enter: "enter" };
const BY_KEYBOARD = { Enter: "enter", Backspace: "clear", Delete: "clear", Escape: "cancel", ArrowUp: "up", ArrowDown: "down", m: "menu", M: "menu", f: "feed", F: "feed", ".": "." };
const SWITCHES = ["network", "paper", "cover", "tamper", "mains", "pc"];
const TAGS = { zh: "zh-Hans" };
const TRACE_KEPT = 900;
let socket, audio, step = -1, tornPapers = [], texts = {}, language = "";
const latest = {}; // by type: what was shown last, to show it again in another language

function t(key, fields = {}, name = language) {
  const text = (texts[name] || {})[key];
  return text === undefined ? key : text.replace(/\{(\w+)\}/g, (_, name) => fields[name]);
}
// Closed until the emulator greets: what is pressed before would be lost.
function openBench(on) {
  for (const part of document.querySelectorAll(".bench, .side, .links")) part.inert = !on;
}
function known(key) { return key in (texts[language] || {}); }

function send(message) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// ---- keypad -----------------------------------------------------------------

function drawKeys(rows) {
  $("keys").replaceChildren();
  $("keys").style.gridTemplateColumns = `repeat(${Math.max(...rows.map((row) => row.length))}, 1fr)`;
  for (const name of rows.flat()) {
    if (!name) { $("keys").append(element("span")); continue; }
    const label = LABELS[name] || (known(`key.${name}`) ? t(`key.${name}`) : name);
    const button = element("button", { textContent: label, className: `key-${name}` });
    button.dataset.key = name;
    button.setAttribute("aria-label", name in SPOKEN ? t(`spoken.${SPOKEN[name]}`) : label);
    button.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      button.setPointerCapture(event.pointerId);
      hold(name);
    });
    for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(kind, () => lift(name));
    // A click without a pointer comes from a keyboard or a screen reader.
    button.addEventListener("click", (event) => { if (event.detail === 0) send({ do: "press", key: name }); });
    $("keys").append(button);
  }
}

const held = new Set();
function mark(name, on) {
  const button = document.querySelector(`[data-key="${CSS.escape(name)}"]`);
  if (button) button.classList.toggle("held", on);
  return Boolean(button);
}
function hold(name) {
  if (held.has(name) || $("device").closest("[inert]") || !mark(name, true)) return;
  held.add(name);
  send({ do: "key_down", key: name });
}
function lift(name) {
  if (!held.delete(name)) return;
  mark(name, false);
  send({ do: "key_up", key: name });
}

function keyOf(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return null;
  const at = event.target;
  if (at.matches('select, textarea, input[type="search"], input[type="text"]') || document.querySelector("dialog[open]")) return null;
  // Who walks the page with Tab works its controls with Enter, Space and arrows.
  if (at.matches("button, summary, input") && ["Enter", " "].includes(event.key)) return null;
  if (at.matches('input[type="range"], #trace, .paper, .books') && event.key.startsWith("Arrow")) return null;
  return /^[0-9]$/.test(event.key) ? event.key : BY_KEYBOARD[event.key] || null;
}

// ---- what the chips show ------------------------------------------------------

function drawFrame(message) {
  const bytes = Uint8Array.from(atob(message.data), (c) => c.charCodeAt(0));
  const { width, height } = message, canvas = $("oled"), scale = Math.max(1, Math.floor(384 / width));
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#04070c";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if (!message.on) return;
  pen.fillStyle = "#d3f1ff";
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (bytes[(y >> 3) * width + x] & (1 << (y & 7))) pen.fillRect(x * scale, y * scale, scale, scale);
    }
  }
  pen.fillStyle = "rgba(4, 7, 12, .28)"; // the gaps between the pixels
  for (let x = scale - 1; x < canvas.width; x += scale) pen.fillRect(x, 0, 1, canvas.height);
  for (let y = scale - 1; y < canvas.height; y += scale) pen.fillRect(0, y, canvas.width, 1);
}

function words(tree, name) {
  const say = (node) => {
    if (node.kind === "dots" || "count" in node) return Number.isInteger(node.count) ? t("display.digits", node, name) : t("display.pin", {}, name);
    if (node.items && node.items.length) return node.items.flat().join(", ");
    return node.text || "";
  };
  return (tree.nodes || []).map(say).filter(Boolean).join(". ");
}

function drawSteps(tree) {
  const name = tree.screen || "", keys = (tree.nodes || []).map((node) => node.key || "");
  const fixed = { amount: 0, present_card: 1, choose: 1, pin: 2, result: 3, printing: 4, remove_card: 4, idle: -1, boot: -1, menu: -1, off: -1 };
  if (name in fixed) step = fixed[name];
  else if (name === "progress" && step >= 1) step = keys.includes("sale.stage.card") ? Math.max(step, 1) : 3;
  [...$("steps").children].forEach((item, at) => {
    item.classList.toggle("done", at < step);
    item.classList.toggle("now", at === step);
    if (at === step) item.setAttribute("aria-current", "step"); else item.removeAttribute("aria-current");
  });
}

function drawScreen({ tree }) {
  const name = tree.language in texts ? tree.language : language; // the terminal's own, not the page's
  const text = tree.screen === "off" ? t("display.off") : words(tree, name);
  $("oled").setAttribute("aria-label", t("display.label", { text }, name));
  $("oled").lang = $("said").lang = TAGS[name] || name;
  if ($("said").textContent !== text) $("said").textContent = text;
  document.body.dataset.screen = tree.screen || "";
  $("to-cards").hidden = tree.screen !== "present_card";
  drawSteps(tree);
}

// Each slip is a block of its own; the box shows the newest slip's amount once it is
// out (its top where it has none), and its latest print while it comes.
function drawPaper(message) {
  const paper = $("paper");
  if (message.reset) {
    if (paper.children.length && !message.again) tornPapers.push([...paper.querySelectorAll("img")]);
    paper.replaceChildren();
  }
  for (const strip of message.strips) {
    if (strip.slip || !paper.lastElementChild) paper.append(element("div", { className: "slip" }));
    const image = element("img", { src: "data:image/png;base64," + strip.png, alt: strip.text });
    image.dataset.ink = strip.ink;
    if (strip.amount !== null) image.dataset.amount = strip.amount;
    paper.lastElementChild.append(image);
  }
  paper.hidden = $("tear-paper").hidden = $("look").hidden = !paper.children.length;
  $("roll").classList.toggle("empty", paper.hidden);
  $("no-paper").hidden = !paper.hidden;
  tornPapers = tornPapers.slice(-12);
  drawTorn();
  const waiting = [...paper.querySelectorAll("img")].map((image) => image.decode().catch(() => {}));
  Promise.all(waiting).then(showNewest);
}

function drawTorn() {
  $("torn").hidden = !tornPapers.length;
  $("torn").textContent = t("paper.torn", { count: tornPapers.length });
}

const SLIP_END = 160; // blank rows that end a slip, as host_tools/emulator/roll.py has it
function showNewest() {
  const paper = $("paper"), slip = paper.lastElementChild;
  if (!slip) return;
  const printed = [...slip.children].filter((image) => Number(image.dataset.ink)).pop();
  if (!printed) return;
  const scale = printed.clientWidth / printed.naturalWidth || 1;
  const end = printed.offsetTop + printed.dataset.ink * scale;
  const finished = paper.scrollHeight - end >= SLIP_END * scale;
  paper.scrollTop = finished ? Math.max(slip.offsetTop, amountAt(slip, scale) - paper.clientHeight / 2) : end - paper.clientHeight + 12;
}

function amountAt(slip, scale) {
  const image = [...slip.children].find((strip) => "amount" in strip.dataset);
  return image ? image.offsetTop + image.dataset.amount * scale : 0;
}

function lookAt(papers) {
  $("shelf").replaceChildren(...papers.map((strips) => element("div", {}, ...[...strips].map((strip) => strip.cloneNode()))));
  $("receipts").showModal();
}

function play({ tones, sounding }) {
  const mark = $("sound");
  mark.textContent = tones.length ? `♪ ${tones[tones.length - 1]} Hz` : mark.textContent;
  mark.classList.add("on");
  clearTimeout(play.timer);
  if (!sounding) play.timer = setTimeout(() => mark.classList.remove("on"), 300);
  if (!audio || audio.state !== "running") return;
  tones.slice(-6).forEach((frequency, at) => {
    const tone = audio.createOscillator(), volume = audio.createGain(), start = audio.currentTime + at * 0.12;
    tone.frequency.value = frequency;
    volume.gain.value = 0.04;
    tone.connect(volume).connect(audio.destination);
    tone.start(start);
    tone.stop(start + 0.1);
  });
}

// ---- bench ----------------------------------------------------------------------

function speak(name) {
  language = name;
  document.documentElement.lang = TAGS[name] || name;
  document.title = t("page.title");
  for (const item of document.querySelectorAll("[data-t]")) item.textContent = t(item.dataset.t);
  for (const item of document.querySelectorAll("[data-t-label]")) item.setAttribute("aria-label", t(item.dataset.tLabel));
  for (const item of document.querySelectorAll("[data-t-title]")) item.title = t(item.dataset.tTitle);
  for (const item of document.querySelectorAll("[data-t-placeholder]")) item.placeholder = t(item.dataset.tPlaceholder);
  for (const item of document.querySelectorAll("#trace [data-note]")) item.textContent = t(item.dataset.note);
  drawOpenAll();
  drawTorn();
  say("link.up", false);
}

function otherLanguage() {
  const names = Object.keys(texts);
  speak(names[(names.indexOf(language) + 1) % names.length]);
  drawBench(latest.hello);
  for (const type of ["screen", "state", "ledger"]) if (latest[type]) HANDLERS[type](latest[type]);
}

function drawHello(message) {
  texts = message.texts;
  speak(language || message.language);
  $("trace").replaceChildren();
  $("paper").replaceChildren();
  drawBench(message);
  openBench(true);
}

function drawBench(message) {
  if (language === "en") $("board").textContent = message.board.replace(/^OpenTill /, "");
  drawKeys(message.keys);
  $("deck").replaceChildren(...message.cards.map((card) => {
    const pin = card.pins.length ? t("cards.pin", { pin: card.pins.join(t("cards.then")) }) : t("cards.no_pin");
    const title = language === "zh" ? card.title_zh : card.title;
    const button = element("button", {}, title, element("small", {}, element("code", { textContent: card.name }), ` ${card.pan}  ${pin}`));
    button.dataset.card = card.name;
    button.dataset.words = `${card.name} ${card.title} ${card.title_zh}`.toLowerCase();
    button.addEventListener("click", () => {
      send({ do: $("hand").value, card: card.name });
      toHandheld();
    });
    return button;
  }));
  drawLinks(message.links);
  const rule = $("rule").value;
  $("rule").replaceChildren(...message.rules.map((rule) => new Option(t("rule." + rule.replace(/-/g, "_")), rule)));
  if (rule) $("rule").value = rule;
  findCards();
}

// ---- links ------------------------------------------------------------------------

function drawLinks(links) {
  $("links").hidden = !links.length;
  $("one-network").hidden = links.length > 0;
  $("links").replaceChildren(...links.map((link) => {
    const choice = (names, prefix, label, wish) => {
      const select = element("select", {}, ...names.map((name) => new Option(t(prefix + name), name)));
      select.setAttribute("aria-label", t(label, { link: t(`linkname.${link.kind}`) }));
      select.className = wish;
      let pointed = false; // by mouse or finger: then the keyboard goes back to the handheld
      select.addEventListener("pointerdown", () => { pointed = true; });
      select.addEventListener("keydown", () => { pointed = false; });
      select.addEventListener("change", () => {
        send({ do: "link", name: link.name, [wish]: select.value });
        if (pointed) select.blur();
      });
      return select;
    };
    const title = element("b", { textContent: t(`linkname.${link.kind}`) });
    const card = element("div", { className: "link" }, element("p", {}, title, element("span", { className: "at" })));
    card.append(choice(link.conditions, `condition.${link.kind}.`, "links.condition", "condition"));
    if (link.signals.length) card.append(choice(link.signals, "signal.", "links.signal", "signal"));
    card.dataset.link = link.name;
    return card;
  }));
}

function drawLinkStates(links) {
  for (const link of links) {
    const card = document.querySelector(`[data-link="${CSS.escape(link.name)}"]`);
    if (!card) continue;
    const state = link.state && t(link.carries ? "links.carries" : `linkstate.${link.state}`);
    const cause = link.cause ? t(`cause.${link.cause}`) : "";
    const count = link.bytes ? t("links.bytes", { count: Math.ceil(link.bytes / 1024) }) : "";
    const text = [state, cause, count].filter(Boolean).join(" · ");
    const at = card.querySelector(".at");
    if (at.textContent !== text) at.textContent = text;
    card.classList.toggle("carries", link.carries);
    card.classList.toggle("down", link.state === "down");
    for (const name of ["condition", "signal"]) {
      const select = card.querySelector(`.${name}`);
      if (select && document.activeElement !== select) select.value = link[name];
    }
  }
}

// Where one goes on after a card: its keys, on a small window scrolled to.
function toHandheld() {
  $("device").focus({ preventScroll: true });
  $("device").scrollIntoView({ block: "nearest" });
}

function toCards() {
  const first = [...$("deck").children].find((button) => !button.hidden) || $("find");
  first.focus({ preventScroll: true });
  $("find").scrollIntoView({ block: "start" });
}

function findCards() {
  const wanted = $("find").value.trim().toLowerCase();
  for (const button of $("deck").children) button.hidden = !button.dataset.words.includes(wanted);
}

function drawState({ state }) {
  const there = state.card || state.tapped;
  const card = [...$("deck").children].find((button) => button.dataset.card === there);
  const title = card ? card.firstChild.textContent : there;
  $("slot").textContent = state.card ? t(state.tear ? "slot.armed" : "slot.in", { card: title }) : t(there ? "slot.tapped" : "slot.empty", { card: title });
  $("slot").classList.toggle("in", Boolean(there));
  $("slot").classList.toggle("armed", state.tear);
  $("tear").textContent = t(state.tear ? "cards.tear.armed" : "cards.tear");
  $("tear").setAttribute("aria-pressed", String(state.tear));
  $("zone").textContent = state.zone;
  $("zone").title = t("trace.zone", state);
  $("ended").hidden = !state.ended;
  if (state.ended) {
    const { code, said } = state.ended;
    $("ended-text").textContent = t(code < 0 ? "ended.signal" : "ended.exit", { code: Math.abs(code), said });
  }
  for (const button of $("deck").children) {
    button.classList.toggle("in", button === card);
    button.setAttribute("aria-pressed", String(button === card));
  }
  for (const name of SWITCHES) $(`sw-${name}`).checked = state[name];
  $("pc-cable").hidden = !state.pc_target;
  $("pc-target").textContent = state.pc_target;
  drawLinkStates(state.links);
  if (document.activeElement !== $("sw-battery")) $("sw-battery").value = state.battery;
  $("battery").textContent = `${state.battery} %`;
  $("remove").disabled = !there;
  $("tear").disabled = !state.card;
  $("cut").disabled = !state.powered;
  $("on").disabled = state.powered;
  $("device").classList.toggle("off", !state.powered);
  $("waiting").textContent = state.rules_waiting ? t("bank.waiting", { count: state.rules_waiting }) : "";
}

function drawLedger({ rows }) {
  $("ledger").replaceChildren(...[...rows].reverse().map((row) => element("tr", {},
    element("td", { textContent: row.stan }),
    element("td", { textContent: "…" + row.card }),
    element("td", { textContent: row.amount, className: "number" }),
    element("td", { textContent: known(`state.${row.state}`) ? t(`state.${row.state}`) : row.state, className: row.state }),
    element("td", { textContent: row.code }))));
}

function addTrace({ entry }) {
  const list = $("trace");
  const title = element("b", { textContent: entry.title });
  const note = `note.${entry.title.replace(/ /g, "_")}`;
  if (entry.kind === "note" && known(note)) {
    title.dataset.note = note;
    title.textContent = t(note);
  }
  const head = [element("time", { textContent: entry.time || "" }), title, entry.text || ""];
  const item = element("li", { className: entry.kind });
  if (entry.fields && entry.fields.length) {
    const rows = element("dl");
    for (const [name, value] of entry.fields) rows.append(element("dt", { textContent: name }), element("dd", { textContent: value }));
    item.append(element("details", { open: list.dataset.open === "yes" }, element("summary", {}, ...head), rows));
  } else item.append(element("div", { className: "plain" }, ...head));
  list.append(item);
  while (list.children.length > TRACE_KEPT) list.firstChild.remove();
  followTrace();
}

let following = true; // until somebody scrolls back
function followTrace() { if (following) $("trace").scrollTop = $("trace").scrollHeight; }

// ---- connection -----------------------------------------------------------------

const HANDLERS = {
  hello: drawHello, frame: drawFrame, screen: drawScreen, paper: drawPaper, sound: play,
  state: drawState, ledger: drawLedger, trace: addTrace,
  lamps: ({ lamps }) => { for (const [name, on] of Object.entries(lamps)) if ($(`lamp-${name}`)) $(`lamp-${name}`).classList.toggle("on", on); },
};

function drawOpenAll() {
  $("open-all").textContent = t($("trace").dataset.open === "yes" ? "trace.close" : "trace.open");
}

function say(key, gone) {
  $("link").textContent = t(key);
  $("link").classList.toggle("gone", gone);
  document.body.dataset.link = gone ? "gone" : "up";
}

function connect() {
  socket = new WebSocket(`ws://${location.host}/live`);
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    latest[message.type] = message;
    HANDLERS[message.type](message);
  };
  socket.onclose = () => {
    [...held].forEach(lift);
    openBench(false);
    say("link.gone", true);
    setTimeout(connect, 1000);
  };
}

function bind() {
  addEventListener("keydown", (event) => {
    if (event.key === "?" && !event.target.matches("select, input")) $("help-open").click();
    const key = keyOf(event);
    if (!key) return;
    event.preventDefault();
    if (!event.repeat) hold(key);
  });
  addEventListener("keyup", (event) => {
    const key = /^[0-9]$/.test(event.key) ? event.key : BY_KEYBOARD[event.key];
    if (key) lift(key);
  });
  addEventListener("blur", () => [...held].forEach(lift));
  // After a click the keyboard belongs to the handheld again.
  addEventListener("click", (event) => {
    const at = document.activeElement;
    if (event.detail > 0 && at && at.matches("button, summary, input[type='checkbox'], input[type='range']")) at.blur();
  });
  addEventListener("pointerdown", () => { audio = audio || new AudioContext(); audio.resume(); });
  $("remove").onclick = () => send({ do: "remove" });
  $("scan").onclick = () => { send({ do: "scan", text: $("scan-text").value }); toHandheld(); };
  $("tear").onclick = () => send({ do: "tear", value: !latest.state.state.tear });
  $("cut").onclick = () => send({ do: "power_cut" });
  $("on").onclick = $("on-again").onclick = () => send({ do: "power_on" });
  $("language").onclick = otherLanguage;
  $("set-rule").onclick = () => send({ do: "rule", name: $("rule").value });
  $("rule").onchange = () => $("set-rule").focus();
  $("tear-paper").onclick = () => send({ do: "tear_paper" });
  $("torn").onclick = () => lookAt(tornPapers);
  $("look").onclick = $("paper").onclick = () => lookAt([...$("paper").children].map((slip) => slip.children));
  $("to-cards").onclick = toCards;
  $("help-open").onclick = () => { if (!$("help").open) $("help").showModal(); };
  $("find").oninput = findCards;
  $("trace").onscroll = ({ target }) => { following = target.scrollTop + target.clientHeight >= target.scrollHeight - 40; };
  new ResizeObserver(followTrace).observe($("trace"));
  new ResizeObserver(showNewest).observe($("paper"));
  $("clear-trace").onclick = () => $("trace").replaceChildren();
  $("open-all").onclick = () => {
    const open = $("trace").dataset.open !== "yes";
    $("trace").dataset.open = open ? "yes" : "no";
    drawOpenAll();
    for (const details of $("trace").querySelectorAll("details")) details.open = open;
  };
  for (const kind of ["apdu", "emv", "iso", "note"]) $(`show-${kind}`).onchange = (event) => $("trace").classList.toggle(`no-${kind}`, !event.target.checked);
  for (const name of SWITCHES) $(`sw-${name}`).onchange = (event) => send({ do: "switch", name, value: event.target.checked });
  $("sw-battery").oninput = (event) => { $("battery").textContent = `${event.target.value} %`; };
  $("sw-battery").onchange = (event) => send({ do: "switch", name: "battery", value: Number(event.target.value) });
}

bind();
connect();
