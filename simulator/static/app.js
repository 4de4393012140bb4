"use strict";
// Polls once a second and draws what changed. All text goes in as text, never as HTML.
const $ = (id) => document.getElementById(id);
const KNOBS = [
  ["on_whatsapp", "checkbox"], ["reads", "checkbox"], ["blocks", "checkbox"], ["stop_after", "number"],
  ["block_after", "number"], ["delivery_delay_s", "number"], ["read_delay_s", "number"], ["reply_delay_s", "number"],
  ["name", "text"], ["replies", "text"],
];
const TICKS = { accepted: "🕓", sent: "✓", delivered: "✓✓", read: "✓✓", failed: "✗" };
let contact = null, number = null, state = null, drawn = {}, problemTimer = 0;

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

async function ask(method, path, body) {
  const answer = await fetch("_sim/" + path, {
    method, body: body && JSON.stringify(body), headers: { "Content-Type": "application/json" },
  });
  const value = await answer.json();
  if (!answer.ok) throw new Error((value.error.field ? value.error.field + ": " : "") + value.error.message);
  return value;
}

async function act(promise) {
  try {
    await promise;
    $("said").hidden = true;
  } catch (error) {
    $("said").textContent = error.message;
    $("said").hidden = false;
    clearTimeout(problemTimer);
    problemTimer = setTimeout(() => { $("said").hidden = true; }, 8000);
  }
  await poll();
}

// Redraws only when the data changed, so that focus, selection and scrolling stay where they are.
function changed(name, value) {
  const text = JSON.stringify(value);
  if (drawn[name] === text) return false;
  drawn[name] = text;
  return true;
}

const clockTime = (at) => new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

function drawState() {
  const { summary, clock } = state;
  $("world").textContent = `${state.profile}, seed ${state.seed}`;
  $("now").textContent = new Date(clock.now * 1000).toLocaleString();
  if (document.activeElement !== $("speed")) {
    const speed = clock.frozen ? "0" : String(clock.speed);
    if (![...$("speed").options].some((option) => option.value === speed)) $("speed").append(new Option(speed, speed));
    $("speed").value = speed;
  }
  const counters = {
    requests: summary.requests, accepted: summary.accepted, "took effect": summary.effects,
    recipients: summary.unique_recipients, "more than once": summary.recipients_with_2_or_more,
    refused: summary.refused, sent: summary.statuses.sent || 0, delivered: summary.statuses.delivered || 0,
    read: summary.statuses.read || 0, failed: summary.statuses.failed || 0,
    "webhooks answered": summary.webhooks.answered, "webhooks pending": summary.webhooks.pending,
    "still due": summary.due.statuses_due + summary.due.inbounds_due,
  };
  if (changed("counters", counters)) {
    $("counters").replaceChildren(...Object.entries(counters).map(([name, count]) =>
      make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: count.toLocaleString() }))));
  }
  if (changed("numbers", state.numbers.map((n) => [n.id, n.phone, n.webhook]))) {
    const chosen = number;
    $("via").replaceChildren(...state.numbers.map((n) => new Option(`+${n.phone}${n.webhook ? "" : " (no webhook)"}`, n.id)));
    if (chosen) $("via").value = chosen;
  }
  if (changed("faults", state.faults)) drawFaults();
}

function drawFaults() {
  $("faults").replaceChildren(...state.faults.map((fault) => {
    const often = fault.probability !== null ? `${fault.probability * 100}%` : "";
    const left = fault.remaining === null ? often : `${often} ${fault.remaining} left`;
    const where = Object.entries(fault.match).map(([name, value]) => `${name}=${value}`).join(" ");
    const label = `${fault.kind} ${where} — ${left}, applied ${fault.applied}`;
    const remove = make("button", { textContent: "Remove", onclick: () => act(ask("DELETE", "faults/" + fault.id)) });
    return make("li", {}, make("span", { textContent: label }), remove);
  }));
  $("no-faults").hidden = state.faults.length > 0;
  $("clear-faults").hidden = state.faults.length === 0;
}

function drawChats(chats) {
  if (!changed("chats", [chats, contact, number])) return;
  const focused = document.activeElement && document.activeElement.dataset.chat;
  $("chats").replaceChildren(...chats.map((chat) => {
    const key = chat.contact + "/" + chat.phone_number_id;
    const button = make("button", { type: "button", onclick: () => open(chat.contact, chat.phone_number_id) },
      make("strong", { textContent: chat.name, dir: "auto" }), make("small", { textContent: clockTime(chat.at) }),
      make("span", { className: "last", dir: "auto", textContent: chat.text || "…", title: "+" + chat.contact }));
    button.dataset.chat = key;
    button.setAttribute("aria-current", chat.contact === contact && chat.phone_number_id === number);
    return make("li", {}, button);
  }));
  if (focused) document.querySelector(`[data-chat="${focused}"]`)?.focus();
  $("no-chats").hidden = chats.length > 0;
  $("no-chats").textContent = $("search").value
    ? "Nothing matches."
    : "No messages yet. Send one through the Graph API, or open a chat by its number and write as the contact.";
}

function drawThread(thread) {
  const person = thread.contact;
  $("name").textContent = person.name;
  $("about").textContent = `+${person.number} · ${person.on_whatsapp ? "on WhatsApp" : "not on WhatsApp"}` +
    (person.blocks ? " · blocks us" : "") + (person.reads ? "" : " · read receipts off");
  if (changed("knobs", person) && !$("knobs").contains(document.activeElement)) drawKnobs(person);
  if (!changed("thread", thread.messages)) return;
  const list = $("thread");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  list.replaceChildren(...thread.messages.map((message) => {
    const ours = message.from === "business";
    const status = !ours ? "" : message.accepted ? message.status : "refused";
    const mark = !ours ? "" : message.accepted ? TICKS[status] : "refused";
    const more = [clockTime(message.at), mark, message.error && `#${message.error}`, message.fault].filter(Boolean);
    const text = message.text || (ours ? `[${message.type || "message"}]` : `[${message.kind}]`);
    const small = make("small", { className: status, textContent: more.join(" "), title: status });
    return make("li", { className: `${message.from} ${status === "refused" ? "refused" : ""}` },
      make("div", { dir: "auto", textContent: text }), small);
  }));
  if (atEnd) list.scrollTop = list.scrollHeight;
  $("no-chat").hidden = thread.messages.length > 0;
  $("no-chat").textContent = "Nothing said yet. What you write below comes from this contact.";
}

function drawKnobs(person) {
  $("knobs").replaceChildren(...KNOBS.map(([name, type]) => {
    const input = make("input", { type, name });
    if (type === "checkbox") input.checked = person[name];
    else if (name === "replies") input.value = (person.replies || []).map((r) => (r.say === undefined ? r : r.say)).join(" | ");
    else input.value = person[name] ?? "";
    if (type === "number") input.min = 0;
    if (type === "text") input.dir = "auto";
    if (name === "replies") input.placeholder = "one reply | the next";
    input.onchange = () => act(turn(name, type, input));
    return make("label", { className: type === "text" ? "wide" : "" }, name.replaceAll("_", " "), input);
  }));
}

function turn(name, type, input) {
  let value = type === "checkbox" ? input.checked : input.value;
  if (type === "number") value = input.value === "" ? null : Number(input.value);
  if (name === "replies") value = input.value.split("|").map((reply) => reply.trim()).filter(Boolean);
  return ask("PUT", "contacts/" + contact, { [name]: value });
}

function open(who, via) {
  contact = who;
  number = via || number || (state && state.numbers[0].id);
  $("via").value = number;
  $("head").hidden = $("say").hidden = false;
  document.body.classList.add("in-chat");
  delete drawn.thread;
  poll();
}

async function poll() {
  try {
    const wanted = [ask("GET", "state"), ask("GET", "chats?q=" + encodeURIComponent($("search").value))];
    const shown = contact;
    if (shown) wanted.push(ask("GET", `chats/${shown}?phone_number_id=${number}`));
    const [now, chats, thread] = await Promise.all(wanted);
    state = now;
    drawState();
    drawChats(chats.data);
    if (thread && shown === contact) drawThread(thread);
    $("alive").textContent = "running";
    $("alive").className = "badge on";
    $("gone").hidden = true;
  } catch (error) {
    $("alive").textContent = "gone";
    $("alive").className = "badge off";
    $("gone").hidden = false;
  }
}

function say(body) {
  if (contact) act(ask("POST", `contacts/${contact}/say`, { ...body, to: number }));
}

$("say").onsubmit = (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (text) say({ text });
  $("text").value = "";
};
for (const button of document.querySelectorAll("[data-say]")) button.onclick = () => say({ text: button.dataset.say });
$("photo").onclick = () => say({ media: { type: "image", caption: "" } });
$("open").onsubmit = (event) => {
  event.preventDefault();
  const digits = $("number").value.replace(/\D/g, "");
  if (digits.length >= 5 && digits.length <= 20) open(digits);
  else $("number").setCustomValidity("5 to 20 digits"), $("number").reportValidity();
};
$("number").oninput = () => $("number").setCustomValidity("");
$("back").onclick = () => { document.body.classList.remove("in-chat"); contact = null;
  $("head").hidden = $("say").hidden = $("knobs").hidden = true;
  $("thread").replaceChildren();
  $("no-chat").hidden = false;
};
$("knobs-toggle").onclick = () => {
  $("knobs").hidden = !$("knobs").hidden;
  $("knobs-toggle").setAttribute("aria-expanded", String(!$("knobs").hidden));
};
$("knobs").onsubmit = (event) => event.preventDefault();
$("via").onchange = () => open(contact, $("via").value);
$("search").oninput = poll;
$("speed").onchange = () => {
  const speed = Number($("speed").value);
  act(ask("POST", "clock", speed ? { speed, frozen: false } : { frozen: true }));
  $("speed").blur();
};
for (const button of document.querySelectorAll("[data-advance]")) {
  button.onclick = () => act(ask("POST", "clock", { advance_s: Number(button.dataset.advance) }));
}
$("fault").onsubmit = (event) => {
  event.preventDefault();
  const params = $("code").value ? { code: Number($("code").value) } : {};
  act(ask("POST", "faults", { kind: $("kind").value, count: Number($("count").value) || 1, params }));
};
$("clear-faults").onclick = () => act(ask("DELETE", "faults"));
const at = new URLSearchParams(location.search).get("contact");
poll().then(() => { if (at && /^\d{5,20}$/.test(at)) open(at); });
setInterval(poll, 1000);
