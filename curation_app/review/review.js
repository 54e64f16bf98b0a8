// The review desk in the browser: shows one person, turns keys into edits, and sends them to the server.
//
// The rule that everything here serves: a key means the picture that is on the screen when it is pressed. So there is
// at most one message under way; the next person is shown when the server has confirmed that this one is on the disk;
// keys that come in between are about the person still on the screen and are sent after.
// Text from the server is only ever set as textContent.

const MASKS = { w: "worn", i: "incorrect", n: "none" };
const GENDERS = { m: "male", f: "female" };
const AGE_CLASSES = { 8: 0, 9: 1, 0: 2 };
const NO_ANSWER_MS = 3000;
const NEW_SERVER_TRIES = 3;
const LOST = "review-desk-lost"; // what was pressed last before the page had to be loaded again
const PICTURES_KEPT = 24; // people whose pictures stay decoded
const CHEATS = [
  ["Enter", "accept what is shown, with your changes"],
  ["q", "unsure: looked and could not tell"],
  ["s", "take the suggestions"],
  ["1 – 7, ← →", "choose a shot"],
  ["w  i  n", "mask of the chosen shot: worn, incorrect, none"],
  ["x", "exclude the chosen shot, or take it in again"],
  ["⇧ X", "exclude all shots of the person"],
  ["m  f", "gender of the person: male, female"],
  ["8  9  0", "age class of the person: young, middle, old"],
  ["a", "age as a number: a 6 3 Enter"],
  ["t", "write a note with this person's records"],
  ["u, Ctrl+Z", "undo a change, or the last person saved"],
  ["↓ ↑", "next and back without a judgement"],
  ["?", "this sheet"],
];

const desks = new WeakMap();

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  let desk = desks.get(parentElement);
  if (!desk) desks.set(parentElement, (desk = new Desk(parentElement)));
  desk.send = setStateValue; // not a trigger: of two triggers under way Streamlit keeps the later one only
  desk.attach();
  desk.receive(data);
  return () => desk.detach();
}

class Desk {
  constructor(root) {
    this.$ = (name) => root.querySelector(`.${name}`);
    this.people = new Map(); // id → what the server says of a person
    this.pictures = new Map(); // id → [decoded <img> or text of the problem], one a shot
    this.shown = null; // the person on the screen
    this.shots = []; // their labels as they stand on the screen
    this.past = []; // labels before each change on this person
    this.busy = null; // the message under way
    this.pace = []; // when people were settled
    this.onKey = (event) => this.key(event);
    this.build();
  }

  attach() {
    window.addEventListener("keydown", this.onKey, true);
    if (this.busy) this.expectAnswer(); // detached with a message under way, which may have been lost since
  }

  detach() {
    window.removeEventListener("keydown", this.onKey, true);
    clearTimeout(this.timer);
  }

  // -- from the server ------------------------------------------------------------------------------------------
  async receive(data) {
    const fresh = this.data?.sitting !== data.sitting;
    const lost = fresh && (this.busy || recall());
    this.data = data;
    this.$("desk").classList.toggle("dark", isDark(this.$("desk")));
    if (fresh) {
      clearTimeout(this.timer);
      Object.assign(this, { busy: null, seq: data.seq });
      document.activeElement?.blur?.(); // whatever chose this queue: the keys are for the desk now
    }
    for (const [id, person] of Object.entries(data.people)) this.people.set(id, person);
    for (const [id, pictures] of Object.entries(data.pictures)) this.pictures.set(id, pictures.map(decoded));
    const answered = this.busy && data.seq >= this.busy.seq;
    if (lost) this.explain(lost);
    else if (answered || data.error) this.say(data.error); // what was lost stays told until something is saved
    if (answered) await this.confirmed(data);
    else if (fresh) await this.show(data.now, lost && data.now === lost.person && data.now === this.shown?.id);
    else if (!this.busy && data.now !== this.shown?.id) await this.show(data.now);
    this.more();
    this.forget();
  }

  async confirmed(data) {
    const { act, person, then } = this.busy;
    clearTimeout(this.timer);
    this.busy = null;
    if (data.error) {
      this.draw(); // nothing was saved; the person and the changes stay
    } else if (then && person === this.shown?.id) {
      this.act(then); // what was pressed while the answer was on its way: about the same person
    } else {
      if (act === "settle" || act === "unsure") this.pace.push(performance.now());
      await this.show(data.now);
    }
  }

  explain(lost) {
    if (this.data.settled.includes(lost.person)) this.say("");
    else this.say(`The connection was lost: what you last pressed about ${lost.person} is not saved. Do it again.`);
  }

  // Pictures of the people to come, asked for while this one is looked at.
  more() {
    const wanting = [this.data.now, ...this.data.ahead].some((id) => id !== null && !this.pictures.has(id));
    clearTimeout(this.asking);
    if (wanting && !this.busy) this.asking = setTimeout(() => this.send("more", { have: [...this.pictures.keys()], n: Math.random() }), 60);
  }

  forget() {
    const wanted = new Set([this.shown?.id, this.data.now, ...this.data.ahead]);
    for (const id of this.pictures.keys())
      if (this.pictures.size > PICTURES_KEPT && !wanted.has(id)) this.pictures.delete(id);
  }

  // -- on the screen --------------------------------------------------------------------------------------------
  async show(id, keep = false) {
    this.wait(true); // keys before the paint were meant for the picture before
    const person = id === null ? null : this.people.get(id);
    const pictures = id === null ? [] : this.pictures.get(id);
    if (person && !pictures) return; // on their way; receive() calls again
    await Promise.all((pictures || []).map((picture) => picture.decode?.().catch(() => {})));
    this.shown = person;
    if (!keep) {
      this.shots = person ? person.shots.map((shot) => ({ ...shot.labels })) : [];
      Object.assign(this, { past: [], typed: null, at: person ? firstSuspect(person) : 0 });
      this.$("note").hidden = true;
      this.$("note").querySelector("input").value = "";
    }
    this.drawStrip(pictures || []);
    this.draw();
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    this.wait(false);
  }

  wait(on) {
    this.painted = !on;
    this.$("desk").classList.toggle("waiting", on);
  }

  build() {
    const button = (keys, text, run) => {
      const made = el("button", "");
      made.append(...keys.split(" ").map((key) => el("kbd", "", key)), el("span", "", text));
      made.addEventListener("mousedown", (event) => event.preventDefault()); // the keyboard stays with the desk
      made.addEventListener("click", run);
      return made;
    };
    this.choices = [];
    const choice = (group, keys, text, field, value) => {
      const made = button(keys, text, () => this.set(field, value));
      this.choices.push({ made, field, value });
      this.$(group).append(made);
    };
    for (const [key, value] of Object.entries(GENDERS)) choice("gender", key, value, "gender", value);
    for (const key of ["8", "9", "0"]) choice("age", key, "", "age", `class:${AGE_CLASSES[key]}`);
    this.years = button("a", "", () => this.startAge());
    this.years.classList.add("years");
    this.$("age").querySelector("label").after(this.years);
    for (const [key, value] of Object.entries(MASKS)) choice("mask", key, value, "mask", value);
    this.exclude = button("x", "exclude", () => this.toggleExclude());
    this.$("mask").append(this.exclude);
    this.take = button("s", "take suggestion", () => this.takeSuggestion());
    this.take.classList.add("judge");
    this.$("actions").append(
      Object.assign(button("Enter", "accept", () => this.act("settle")), { className: "primary judge" }),
      this.take,
      Object.assign(button("q", "unsure", () => this.act("unsure")), { className: "judge" }),
      button("↑", "back", () => this.act("back")),
      button("↓", "next", () => this.act("next")),
      button("u", "undo", () => this.undo()),
      Object.assign(button("t", "note", () => this.startNote()), { className: "judge" }),
      button("?", "keys", () => this.sheet()),
    );
    const sheet = el("dl", "");
    for (const [keys, text] of CHEATS) sheet.append(el("dt", "", keys), el("dd", "", text));
    this.$("sheet").append(el("h3", "", "Keys"), sheet, el("p", "", "Any key closes this."));
    this.$("sheet").addEventListener("click", () => this.sheet());
    this.$("note").querySelector("input").addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Escape") event.target.value = "";
      if (event.key === "Escape" || event.key === "Enter") {
        event.target.blur();
        this.$("note").hidden = !event.target.value;
        event.stopPropagation();
      }
    });
  }

  drawStrip(pictures) {
    const strip = this.$("strip");
    strip.style.setProperty("--shots", Math.min(Math.max(pictures.length, 1), 7));
    strip.classList.toggle("few", pictures.length < 4);
    strip.replaceChildren(
      ...(this.shown?.shots ?? []).map((shot, index) => {
        const box = el("figure", shot.suspect ? "suspect" : "");
        const name = el("figcaption", "");
        name.append(el("kbd", "", index < 7 ? String(index + 1) : "·"), el("span", "", shot.name));
        const frame = el("div", "frame");
        const picture = pictures[index];
        frame.append(typeof picture === "string" ? el("p", "problem", picture) : picture);
        box.append(name, frame, el("div", "labels"));
        box.addEventListener("click", () => this.choose(index));
        return box;
      }),
    );
  }

  draw() {
    const { data, shown } = this;
    this.$("who").textContent = shown ? shown.id : data.now === null ? data.idle : "…";
    this.$("place").textContent = shown ? shown.place : "";
    this.$("done").textContent = data.progress;
    this.$("rate").textContent = this.rate();
    this.$("bar").firstElementChild.style.width = `${100 * data.share}%`;
    this.$("saved").textContent = this.busy ? "saving …" : data.saved;
    this.$("desk").classList.toggle("nobody", !shown);
    this.$("why").replaceChildren(...(shown?.why ?? []).map((why) => el("span", why.strong ? "strong" : "", why.text)));
    if (shown) this.drawLabels();
  }

  drawLabels() {
    [...this.$("strip").children].forEach((box, index) => {
      const now = this.shots[index];
      const { was, suggest, notes } = this.shown.shots[index];
      box.classList.toggle("chosen", index === this.at);
      box.classList.toggle("excluded", now.exclude === "true");
      const labels = [change(was.mask, now.mask)];
      if (suggest.mask && suggest.mask !== now.mask) labels.push(el("em", "", `looks ${suggest.mask}`));
      if (now.exclude === "true") labels.push(el("em", "", "excluded"));
      if (this.differs("gender")) labels.push(change(was.gender, now.gender));
      if (this.differs("age")) labels.push(change(was.age, now.age, this.age));
      for (const note of notes) labels.push(el("em", "", note));
      box.lastElementChild.replaceChildren(...labels);
    });
    const one = this.shots[this.at] ?? {};
    for (const { made, field, value } of this.choices) {
      const now = one[field];
      made.classList.toggle("on", field === "age" ? now !== "" && `class:${this.ageClass(now)}` === value : now === value);
      made.classList.toggle("changed", now !== this.shown.shots[this.at]?.was[field]);
      if (field === "age") made.lastElementChild.textContent = this.data.classes[value.at(-1)];
    }
    this.years.lastElementChild.replaceChildren(
      this.typed === null
        ? change(this.shown.shots[this.at]?.was.age ?? "", one.age ?? "", this.age)
        : el("b", "typing", `${this.typed}▏`),
    );
    this.exclude.lastElementChild.textContent = one.exclude === "true" ? "take in again" : "exclude";
    for (const field of ["gender", "age"]) {
      const group = this.$(field);
      const suggested = this.shown.suggest[field];
      group.querySelector("em")?.remove();
      group.classList.toggle("suspect", Boolean(suggested) && suggested.value !== one[field]);
      if (suggested && suggested.value !== one[field]) group.append(el("em", "", suggested.text));
    }
    this.take.disabled = !this.suggested().length;
    this.$("mask").querySelector("label").textContent = `Shot ${this.at + 1}`;
  }

  differs(field) {
    return new Set(this.shots.map((shot) => shot[field])).size > 1;
  }

  age = (value) => (value.startsWith("class:") ? this.data.classes[value.at(-1)] : value);

  ageClass(value) {
    if (value.startsWith("class:")) return Number(value.at(-1));
    return Number(value >= this.data.cuts[0]) + Number(value >= this.data.cuts[1]);
  }

  rate() {
    const recent = this.pace.slice(-20);
    if (recent.length < 5) return "";
    const minutes = (recent.at(-1) - recent[0]) / 60000;
    return `${Math.round((recent.length - 1) / minutes)} a minute`;
  }

  say(text) {
    this.$("banner").textContent = text;
    this.$("banner").hidden = !text;
  }

  sheet() {
    this.$("sheet").hidden = !this.$("sheet").hidden;
  }

  // -- keys -----------------------------------------------------------------------------------------------------
  key(event) {
    const target = event.composedPath()[0];
    if (isTyping(target) || event.altKey) return;
    const key = keyOf(event);
    const control = event.ctrlKey || event.metaKey;
    const run = control ? (key === "z" ? () => this.undo() : null) : this.meaning(key, event, target);
    if (!run) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat || key.startsWith("Arrow")) run(); // a key held down accepts nobody
  }

  meaning(key, event, target) {
    if (!this.$("sheet").hidden) return () => this.sheet();
    if (key === "?") return () => this.sheet();
    if (!this.data || (this.shown && !this.painted)) return known(key) ? () => {} : null;
    if (this.typed !== null && this.typed !== undefined) return () => this.typeAge(key);
    if ((key === "Enter" || key === " ") && (target.tagName === "BUTTON" || target.tagName === "A")) return null;
    if (key === "ArrowUp") return () => this.act("back");
    if (key === "u") return () => this.undo();
    if (key === "ArrowDown") return () => this.act("next");
    if (!this.shown) return known(key) ? () => {} : null;
    if (key === "Enter" || key === " ") return () => this.act("settle");
    if (key === "q") return () => this.act("unsure");
    if (key === "ArrowRight" || key === "ArrowLeft") return () => this.choose(this.at + (key === "ArrowRight" ? 1 : -1));
    if (/^[1-7]$/.test(key)) return () => this.choose(Number(key) - 1);
    if (key in MASKS) return () => this.set("mask", MASKS[key]);
    if (key in GENDERS) return () => this.set("gender", GENDERS[key]);
    if (key in AGE_CLASSES) return () => this.set("age", `class:${AGE_CLASSES[key]}`);
    if (key === "a") return () => this.startAge();
    if (key === "x") return () => (event.shiftKey ? this.excludeAll() : this.toggleExclude());
    if (key === "s") return () => this.takeSuggestion();
    if (key === "t") return () => this.startNote();
    return null;
  }

  choose(index) {
    if (index < 0 || index >= this.shots.length) return;
    this.at = index;
    this.drawLabels();
  }

  // A person has one gender and one age; a mask belongs to the chosen shot.
  set(field, value) {
    this.edit((shots) => {
      if (field === "mask") shots[this.at].mask = value;
      else for (const shot of shots) shot[field] = value;
    });
  }

  edit(change) {
    if (!this.shown || !this.mayWrite()) return;
    this.past.push(this.shots.map((shot) => ({ ...shot })));
    change(this.shots);
    if (this.busy) this.busy.then = "settle"; // about the person on the screen, who is being saved: saved once more
    this.drawLabels();
  }

  toggleExclude() {
    this.edit((shots) => (shots[this.at].exclude = shots[this.at].exclude === "true" ? "false" : "true"));
  }

  excludeAll() {
    this.edit((shots) => {
      const value = shots.every((shot) => shot.exclude === "true") ? "false" : "true";
      for (const shot of shots) shot.exclude = value;
    });
  }

  suggested() {
    const { shots, suggest } = this.shown;
    const found = [];
    shots.forEach((shot, index) => {
      if (shot.suggest.mask && shot.suggest.mask !== this.shots[index].mask) found.push([index, "mask", shot.suggest.mask]);
      for (const field of ["gender", "age"])
        if (suggest[field] && suggest[field].value !== this.shots[index][field]) found.push([index, field, suggest[field].value]);
    });
    return found;
  }

  takeSuggestion() {
    const found = this.suggested();
    if (found.length) this.edit((shots) => found.forEach(([index, field, value]) => (shots[index][field] = value)));
  }

  startAge() {
    if (!this.shown || !this.mayWrite()) return;
    this.typed = "";
    this.drawLabels();
  }

  typeAge(key) {
    if (/^\d$/.test(key) && this.typed.length < 3) this.typed += key;
    else if (key === "Backspace") this.typed = this.typed.slice(0, -1);
    else if (key === "Escape") this.typed = null;
    else if (key === "Enter") {
      const years = this.typed === "" ? null : Number(this.typed);
      this.typed = null;
      if (years !== null && years <= this.data.oldest) this.set("age", String(years));
      else if (years !== null) this.say(`An age is 0 to ${this.data.oldest}; ${years} was not taken.`);
    }
    this.drawLabels();
  }

  startNote() {
    if (!this.shown || !this.mayWrite()) return;
    this.$("note").hidden = false;
    this.$("note").querySelector("input").focus();
  }

  undo() {
    if (this.past.length && !this.busy) {
      this.shots = this.past.pop();
      this.drawLabels();
    } else this.act("undo");
  }

  mayWrite() {
    if (!this.data.annotator) this.say("Type your name in the side bar: a correction carries the name of who made it.");
    return Boolean(this.data.annotator);
  }

  // -- to the server --------------------------------------------------------------------------------------------
  act(act) {
    if (act !== "next" && act !== "back" && !this.mayWrite()) return;
    if (this.busy) {
      if (act === "undo" || (act === "unsure" && this.busy.act !== "unsure")) this.busy.then = act;
      return; // accepted already, and nobody else is on the screen yet
    }
    this.seq += 1;
    const { shown } = this;
    this.busy = {
      act, seq: this.seq, sitting: this.data.sitting, person: shown?.id ?? null, note: this.$("note").querySelector("input").value,
      shots: this.shots.map((labels, index) => ({ ...labels, ...shown.shots[index].file, seen: this.isSeen(index) })),
      have: [...this.pictures.keys()],
    };
    this.post();
    this.$("saved").textContent = "saving …";
  }

  isSeen(index) {
    return typeof this.pictures.get(this.shown.id)?.[index] !== "string";
  }

  post() {
    clearTimeout(this.asking); // the answer brings pictures too
    this.send("act", this.busy);
    this.busy.tries = (this.busy.tries ?? 0) + 1;
    this.expectAnswer();
  }

  expectAnswer() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.wonder(), NO_ANSWER_MS);
  }

  // No answer: the connection is broken, or there is another server, which knows nothing of this page.
  async wonder() {
    const { busy } = this;
    if (!busy) return;
    this.say(`The server does not answer. What you last pressed${this.shown ? ` about ${this.shown.id}` : ""} is not saved yet.`);
    const there = busy.tries >= NEW_SERVER_TRIES && (await fetch("_stcore/health").catch(() => null))?.ok;
    if (busy !== this.busy) return;
    if (there) {
      sessionStorage.setItem(LOST, JSON.stringify({ person: busy.person }));
      window.location.reload();
    } else this.post(); // the server does the same message only once
  }
}

function recall() {
  const lost = JSON.parse(sessionStorage.getItem(LOST));
  sessionStorage.removeItem(LOST);
  return lost;
}

const el = (tag, name, text = "") => Object.assign(document.createElement(tag), { className: name, textContent: text });

function decoded(picture) {
  if (picture.problem) return picture.problem;
  const image = Object.assign(new Image(), { src: picture.image, alt: "", draggable: false });
  image.decode().catch(() => {});
  return image;
}

// "was → now", or the value alone where nothing was changed
function change(was, now, text = (value) => value) {
  const box = el("span", "label");
  if (was !== now) box.append(el("s", "", text(was) || "no label"));
  box.append(el(was === now ? "span" : "b", "", text(now) || "no label"));
  return box;
}

function firstSuspect(person) {
  return Math.max(0, person.shots.findIndex((shot) => shot.suspect));
}

function isTyping(target) {
  if (!(target instanceof Element)) return false;
  return target.matches("input, textarea, select, [contenteditable=true]") || Boolean(target.closest("[role=listbox], [role=dialog]"));
}

// The letter on the key where a Korean, Greek or other layout types another one.
function keyOf(event) {
  if (event.key.length > 1 && event.key !== "Process") return event.key;
  if (/^[\x20-\x7e]$/.test(event.key)) return event.key.toLowerCase();
  const code = /^(?:Key|Digit|Numpad)(.)$/.exec(event.code);
  return code ? code[1].toLowerCase() : event.key;
}

function isDark(element) {
  const [red, green, blue] = getComputedStyle(element).color.match(/[\d.]+/g).map(Number); // of the text
  return red + green + blue > 384;
}

const known = (key) => /^([1-9 0wiqnmfaxstu]|Enter|Arrow(Up|Down|Left|Right))$/.test(key);
