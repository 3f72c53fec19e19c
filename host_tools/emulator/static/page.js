"use strict";
// The page is one more pair of hands: it sends key presses, cards and switches,
// and draws what the virtual chips show. It knows nothing of payments.
const $ = (id) => document.getElementById(id);
const KEYS = [
  ["1", "1"], ["2", "2"], ["3", "3"], ["cancel", "Cancel ✕"],
  ["4", "4"], ["5", "5"], ["6", "6"], ["clear", "Clear ◁"],
  ["7", "7"], ["8", "8"], ["9", "9"], ["enter", "Enter ◯"],
  ["00", "00"], ["0", "0"], [".", "·"], ["menu", "Menu"],
  ["up", "▲"], ["down", "▼"], ["feed", "Feed"], ["func", "Func"],
];
const BY_KEYBOARD = { Enter: "enter", Backspace: "clear", Delete: "clear", Escape: "cancel", ArrowUp: "up", ArrowDown: "down", m: "menu", M: "menu", f: "feed", F: "func", ".": "." };
let socket, audio;

function send(message) { if (socket && socket.readyState === 1) socket.send(JSON.stringify(message)); }

function drawKeys() {
  for (const [name, label] of KEYS) {
    const button = document.createElement("button");
    button.textContent = label;
    button.dataset.key = name;
    button.className = name;
    button.setAttribute("aria-label", name);
    const down = (event) => { event.preventDefault(); button.classList.add("down"); send({ do: "key_down", key: name }); };
    const up = () => { if (button.classList.contains("down")) { button.classList.remove("down"); send({ do: "key_up", key: name }); } };
    button.addEventListener("pointerdown", down);
    button.addEventListener("pointerup", up);
    button.addEventListener("pointerleave", up);
    // A click without a pointer comes from a keyboard or a screen reader.
    button.addEventListener("click", (event) => { if (event.detail === 0) send({ do: "press", key: name }); });
    $("keys").append(button);
  }
}

function drawFrame(message) {
  const bytes = Uint8Array.from(atob(message.data), (c) => c.charCodeAt(0));
  const { width, height } = message;
  const canvas = $("oled");
  const scale = Math.max(1, Math.floor(384 / width));
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#02050a";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if (!message.on) return;
  pen.fillStyle = "#d9f2ff";
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (bytes[(y >> 3) * width + x] & (1 << (y & 7))) pen.fillRect(x * scale, y * scale, scale, scale);
    }
  }
}

function describe(tree) {
  return (tree.nodes || []).map((node) => node.text || node.items || node.count || "").filter(Boolean).join(". ");
}

function addTrace(entry) {
  const list = $("trace");
  const follow = list.scrollTop + list.clientHeight >= list.scrollHeight - 30;
  const item = document.createElement("li");
  item.className = entry.kind;
  const title = document.createElement("span");
  title.innerHTML = "<b></b> ";
  title.querySelector("b").textContent = entry.title;
  title.append(document.createTextNode(entry.text || ""));
  if (entry.fields && entry.fields.length) {
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.append(title);
    const rows = document.createElement("dl");
    for (const [name, value] of entry.fields) {
      const dt = document.createElement("dt"), dd = document.createElement("dd");
      dt.textContent = name; dd.textContent = value;
      rows.append(dt, dd);
    }
    details.append(summary, rows);
    item.append(details);
  } else item.append(title);
  list.append(item);
  while (list.children.length > 500) list.firstChild.remove();
  if (follow) list.scrollTop = list.scrollHeight;
}

function beep(frequency, ms) {
  $("sound").textContent = frequency ? `♪ ${frequency} Hz` : "";
  $("sound").classList.toggle("on", Boolean(frequency));
  if (!frequency || !audio) return;
  const tone = audio.createOscillator(), gain = audio.createGain();
  tone.frequency.value = frequency; gain.gain.value = 0.04;
  tone.connect(gain).connect(audio.destination);
  tone.start(); tone.stop(audio.currentTime + ms / 1000);
}

function drawLedger(rows) {
  const table = document.createElement("table");
  table.innerHTML = "<thead><tr><th>trace</th><th>amount</th><th>state</th><th>code</th></tr></thead>";
  const body = document.createElement("tbody");
  for (const row of rows.slice(-6)) {
    const line = document.createElement("tr");
    for (const cell of [row.stan, row.amount, row.state, row.code]) { const td = document.createElement("td"); td.textContent = cell; line.append(td); }
    body.append(line);
  }
  table.append(body);
  $("ledger").replaceChildren(table);
}

function drawState(state) {
  $("slot").textContent = state.card ? `${state.card} inserted` : "no card";
  $("slot").classList.toggle("in", Boolean(state.card));
  for (const button of $("deck").children) button.classList.toggle("in", button.dataset.card === state.card);
  for (const name of ["network", "paper", "cover", "tamper", "mains"]) $(`sw-${name}`).checked = state[name];
  $("sw-battery").value = state.battery;
  $("cut").disabled = !state.powered;
  $("on").disabled = state.powered;
}

const HANDLERS = {
  frame: drawFrame,
  screen: (m) => { $("oled").setAttribute("aria-label", "Display: " + describe(m.tree)); document.body.dataset.screen = m.tree.screen || ""; },
  lamps: (m) => { for (const [name, on] of Object.entries(m.lamps)) { const lamp = $(`lamp-${name}`); if (lamp) lamp.classList.toggle("on", on); } },
  sound: (m) => beep(m.frequency, 120),
  paper: (m) => {
    if (m.reset) $("paper").replaceChildren();
    for (const strip of m.strips) { const image = new Image(); image.src = "data:image/png;base64," + strip.png; image.alt = strip.text; $("paper").append(image); }
    $("paper").scrollTop = $("paper").scrollHeight;
  },
  trace: (m) => addTrace(m.entry),
  state: (m) => drawState(m.state),
  ledger: (m) => drawLedger(m.rows),
  deck: (m) => {
    $("deck").replaceChildren(...m.cards.map((card) => {
      const button = document.createElement("button");
      button.dataset.card = card.name;
      button.textContent = card.title;
      const small = document.createElement("small");
      small.textContent = `${card.pan}${card.pin ? "  PIN " + card.pin : ""}`;
      button.append(small);
      button.addEventListener("click", () => send({ do: "insert", card: card.name }));
      return button;
    }));
    $("rule").replaceChildren(...m.rules.map((rule) => new Option(rule.title, rule.name)));
  },
};

function connect() {
  socket = new WebSocket(location.href.replace(/^http/, "ws").replace(/[#?].*$/, "") + "live");
  socket.onopen = () => { $("link").textContent = "connected to the emulator"; };
  socket.onmessage = (event) => { const message = JSON.parse(event.data); HANDLERS[message.type](message); };
  socket.onclose = () => { $("link").textContent = "emulator gone: start it again with make run; trying to reconnect…"; setTimeout(connect, 1500); };
}

function bind() {
  drawKeys();
  const held = new Set();
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || ["SELECT", "INPUT", "BUTTON"].includes(event.target.tagName) && ["Enter", " "].includes(event.key)) return;
    const key = /^\d$/.test(event.key) ? event.key : BY_KEYBOARD[event.key];
    if (!key || held.has(key)) return;
    event.preventDefault(); held.add(key); send({ do: "key_down", key });
    document.querySelector(`[data-key="${key}"]`).classList.add("down");
  });
  addEventListener("keyup", (event) => {
    const key = /^\d$/.test(event.key) ? event.key : BY_KEYBOARD[event.key];
    if (!key || !held.delete(key)) return;
    send({ do: "key_up", key });
    document.querySelector(`[data-key="${key}"]`).classList.remove("down");
  });
  addEventListener("blur", () => { for (const key of held) send({ do: "key_up", key }); held.clear(); });
  $("remove").onclick = () => send({ do: "remove" });
  $("tear").onclick = () => send({ do: "tear" });
  $("cut").onclick = () => send({ do: "power_cut" });
  $("on").onclick = () => send({ do: "power_on" });
  $("set-rule").onclick = () => send({ do: "rule", name: $("rule").value });
  $("clear-trace").onclick = () => $("trace").replaceChildren();
  for (const name of ["network", "paper", "cover", "tamper", "mains"]) $(`sw-${name}`).onchange = (event) => send({ do: "switch", name, value: event.target.checked });
  $("sw-battery").onchange = (event) => send({ do: "switch", name: "battery", value: Number(event.target.value) });
  addEventListener("pointerdown", () => { audio = audio || new AudioContext(); }, { once: true });
}

bind();
connect();
