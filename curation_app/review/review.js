// The review page in the browser: shows one person, turns keys into edits and sends them to the server.
//
// A key always refers to the picture that is on the screen when it is pressed. So at most one message is in flight; the
// next person is shown once the server has confirmed that this one is on the disk; keys pressed in between refer to the
// person still on the screen and are sent afterwards.
// Text from the server is only ever set as textContent.

import { Keyboard, element, isDark, isTyping, keyName } from "../shell/browser.js";

const TIMEOUT_MS = 3000;
const MAX_RETRIES = 3; // unanswered messages before the page is loaded again
const LOST = "review-lost-message"; // the last message before the page was loaded again
const MAX_DECODED_PEOPLE = 24; // people whose pictures stay decoded
const ALWAYS = new Set(["previous", "undo", "next"]); // commands that need no person on the screen
const ignore = () => {};

const views = new WeakMap();

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  let view = views.get(parentElement);
  if (!view) views.set(parentElement, (view = new ReviewView(parentElement, data)));
  view.send = setStateValue; // not a trigger: of two triggers in flight Streamlit keeps the later one only
  view.attach();
  view.receive(data);
  return () => view.detachIfGone(); // Streamlit calls it too for a state that was replaced early: see tiles.js
}

class ReviewView {
  constructor(root, data) {
    this.root = root;
    this.$ = (name) => root.querySelector(`.${name}`);
    this.people = new Map(); // id → card of a person
    this.pictures = new Map(); // id → [decoded <img> or text of the problem], one for each shot
    this.shown = null; // the person on the screen
    this.shots = []; // their labels as shown on the screen
    this.edits = []; // labels before each edit of this person
    this.pending = null; // the message in flight
    this.saveTimes = [];
    this.keyboard = new Keyboard(data.keyboard);
    this.commands = this.createCommands();
    this.onKey = (event) => this.handleKey(event);
    this.build();
  }

  attach() {
    window.addEventListener("keydown", this.onKey, true);
    if (this.pending) this.expectAnswer(); // detached with a message in flight, which may be lost
  }

  detachIfGone() {
    if (this.root.isConnected) return;
    window.removeEventListener("keydown", this.onKey, true);
    clearTimeout(this.timer);
  }

  // -- from the server ------------------------------------------------------------------------------------------
  async receive(data) {
    const isNew = this.data?.session !== data.session;
    const lost = isNew && (this.pending || takeLostMessage());
    this.data = data;
    this.$("review").classList.toggle("dark", isDark(this.$("review")));
    if (isNew) {
      clearTimeout(this.timer);
      Object.assign(this, { pending: null, seq: data.seq });
      document.activeElement?.blur?.(); // the field that chose this queue: keys belong to the review now
    }
    for (const [id, person] of Object.entries(data.people)) this.people.set(id, person);
    for (const [id, pictures] of Object.entries(data.pictures)) this.pictures.set(id, pictures.map(decode));
    const isAnswered = this.pending && data.seq >= this.pending.seq;
    if (lost) this.reportLost(lost);
    else if (isAnswered || data.error) this.showBanner(data.error); // a report of a loss stays until something is saved
    if (isAnswered) await this.handleAnswer(data);
    else if (isNew)
      await this.show(data.current, lost && data.current === lost.person && data.current === this.shown?.id);
    else if (!this.pending && data.current !== this.shown?.id) await this.show(data.current);
    this.requestPictures();
    this.dropPictures();
  }

  async handleAnswer(data) {
    const { act, person, then } = this.pending;
    clearTimeout(this.timer);
    this.pending = null;
    if (data.error) {
      this.draw(); // nothing was saved; the person and the edits stay
    } else if (then && person === this.shown?.id) {
      this.act(then); // pressed while the answer was on its way: refers to the same person
    } else {
      if (act === "accept" || act === "unsure") this.saveTimes.push(performance.now());
      await this.show(data.current);
    }
  }

  reportLost(lost) {
    if (this.data.savedPeople.includes(lost.person)) this.showBanner("");
    else this.showBanner(`The connection was lost: your last change to ${lost.person} is not saved. Repeat it.`);
  }

  // Ask for pictures of the next people while this one is on the screen.
  requestPictures() {
    const isMissing = [this.data.current, ...this.data.prefetched].some((id) => id !== null && !this.pictures.has(id));
    clearTimeout(this.pictureTimer);
    if (!isMissing || this.pending) return;
    const request = () => this.send("more", { have: [...this.pictures.keys()], n: Math.random() });
    this.pictureTimer = setTimeout(request, 60);
  }

  dropPictures() {
    const needed = new Set([this.shown?.id, this.data.current, ...this.data.prefetched]);
    for (const id of this.pictures.keys())
      if (this.pictures.size > MAX_DECODED_PEOPLE && !needed.has(id)) this.pictures.delete(id);
  }

  // -- on the screen --------------------------------------------------------------------------------------------
  async show(id, keepEdits = false) {
    this.setWaiting(true); // a key before the paint refers to the picture before
    const person = id === null ? null : this.people.get(id);
    const pictures = id === null ? [] : this.pictures.get(id);
    if (person && !pictures) return; // on their way; receive() calls again
    await Promise.all((pictures || []).map((picture) => picture.decode?.().catch(() => {})));
    this.shown = person;
    if (!keepEdits) {
      this.shots = person ? person.shots.map((shot) => ({ ...shot.labels })) : [];
      Object.assign(this, { edits: [], typedAge: null, chosen: person ? firstSuspect(person) : 0 });
      this.$("note").hidden = true;
      this.$("note").querySelector("input").value = "";
    }
    this.drawStrip(pictures || []);
    this.draw();
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    this.setWaiting(false);
  }

  setWaiting(isWaiting) {
    this.isPainted = !isWaiting;
    this.$("review").classList.toggle("waiting", isWaiting);
  }

  build() {
    const commandButton = (command, text, className) =>
      keyButton(this.keyboard.keyOf(command), text, () => this.commands[command](), className);
    this.labelButtons = [];
    for (const [field, keys] of Object.entries(this.keyboard.labels)) {
      for (const [value, key] of Object.entries(keys)) {
        const made = keyButton(keyName(key), field === "age" ? "" : value, () => this.set(field, value));
        this.labelButtons.push({ made, field, value });
        this.$(field).append(made);
      }
    }
    this.yearsButton = commandButton("years", "", "years");
    this.$("age").querySelector("label").after(this.yearsButton);
    this.excludeButton = commandButton("exclude", "exclude");
    this.$("mask").append(this.excludeButton);
    this.suggestionButton = commandButton("suggestion", "apply suggestion", "needs-person");
    this.$("actions").append(
      commandButton("accept", "accept", "primary needs-person"),
      this.suggestionButton,
      commandButton("unsure", "unsure", "needs-person"),
      commandButton("previous", "previous"),
      commandButton("next", "next"),
      commandButton("undo", "undo"),
      commandButton("note", "note", "needs-person"),
      commandButton("help", "keys"),
    );
    this.buildHelp();
    this.buildNote();
  }

  buildHelp() {
    const list = element("dl");
    for (const { keys, text } of this.keyboard.bindings) {
      const names = keys.map(keyName);
      const shown = names.length > 3 ? `${names[0]} – ${names.at(-1)}` : names.join("  ");
      list.append(element("dt", "", shown), element("dd", "", text));
    }
    this.$("help").append(element("h3", "", "Keys"), list, element("p", "", "Press any key to close."));
    this.$("help").addEventListener("click", () => this.toggleHelp());
  }

  buildNote() {
    this.$("note")
      .querySelector("input")
      .addEventListener("keydown", (event) => {
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
    const isSingle = this.shown?.shots.length === 1;
    strip.style.setProperty("--shots", Math.min(Math.max(pictures.length, 1), 7));
    strip.style.setProperty("--shape", medianShape(pictures));
    strip.classList.toggle("few", pictures.length < 4);
    this.$("review").classList.toggle("single", isSingle);
    strip.replaceChildren(
      ...(this.shown?.shots ?? []).map((shot, index) => {
        const figure = element("figure", shot.suspect ? "suspect" : "");
        const caption = element("figcaption");
        if (!isSingle) caption.append(element("kbd", "", index < 7 ? String(index + 1) : "·"));
        caption.append(element("span", "", shot.name));
        caption.hidden = isSingle && isRepeated(shot.name, this.shown.id);
        const frame = element("div", "frame");
        const picture = pictures[index];
        frame.append(typeof picture === "string" ? element("p", "problem", picture) : picture);
        figure.append(caption, frame, element("div", "labels"));
        figure.addEventListener("click", () => this.choose(index));
        return figure;
      }),
    );
  }

  draw() {
    const { data, shown } = this;
    this.$("person").textContent = shown ? shown.id : data.current === null ? data.empty : "…";
    this.$("marks").textContent = shown ? shown.marks : "";
    this.$("done").textContent = data.progress;
    this.$("rate").textContent = this.rateText();
    this.$("bar").firstElementChild.style.width = `${100 * data.shareDone}%`;
    this.$("saved").textContent = this.pending ? "saving …" : data.saved;
    this.$("review").classList.toggle("empty", !shown);
    const reasons = (shown?.reasons ?? []).map(({ strong, text }) => element("span", strong ? "strong" : "", text));
    this.$("reasons").replaceChildren(...reasons);
    if (shown) this.drawLabels();
  }

  drawLabels() {
    [...this.$("strip").children].forEach((figure, index) => {
      const labels = this.shots[index];
      const { given, suggest, notes } = this.shown.shots[index];
      figure.classList.toggle("chosen", index === this.chosen);
      figure.classList.toggle("excluded", labels.exclude === "true");
      const isInPanel = this.shots.length === 1 && given.mask === labels.mask;
      const texts = isInPanel ? [] : [changeElement(given.mask, labels.mask, "mask unknown")];
      if (suggest.mask && suggest.mask !== labels.mask) texts.push(element("em", "", `predicted ${suggest.mask}`));
      if (labels.exclude === "true") texts.push(element("em", "", "excluded"));
      if (this.isMixed("gender")) texts.push(changeElement(given.gender, labels.gender, "gender unknown"));
      if (this.isMixed("age")) texts.push(changeElement(given.age, labels.age, "age unknown", this.ageText));
      for (const note of notes) texts.push(element("em", "", note));
      figure.lastElementChild.replaceChildren(...texts);
    });
    const given = this.shown.shots[this.chosen]?.given;
    const labels = this.shots[this.chosen] ?? {};
    for (const { made, field, value } of this.labelButtons) {
      const isOn = field === "age" ? this.ageClassValue(labels.age) === value : labels[field] === value;
      made.classList.toggle("on", isOn);
      made.classList.toggle("changed", labels[field] !== given?.[field]);
      if (field === "age") made.lastElementChild.textContent = this.ageText(value);
    }
    this.yearsButton.lastElementChild.replaceChildren(
      this.typedAge === null
        ? changeElement(given?.age ?? "", labels.age ?? "", "type years", this.ageText)
        : element("b", "typing", `${this.typedAge}▏`),
    );
    this.excludeButton.lastElementChild.textContent = labels.exclude === "true" ? "include again" : "exclude";
    for (const field of ["gender", "age"]) {
      const group = this.$(field);
      const suggestion = this.shown.suggest[field];
      const isOpen = Boolean(suggestion) && suggestion.value !== labels[field];
      group.querySelector("em")?.remove();
      group.classList.toggle("suspect", isOpen);
      if (isOpen) group.append(element("em", "", suggestion.text));
    }
    this.suggestionButton.disabled = !this.openSuggestions().length;
    const titles = { gender: "Gender", age: "Age", mask: this.shots.length > 1 ? `Shot ${this.chosen + 1}` : "Mask" };
    for (const [field, title] of Object.entries(titles))
      this.$(field).querySelector("label").textContent = labels[field] ? title : `${title}: unknown`;
  }

  isMixed(field) {
    return new Set(this.shots.map((shot) => shot[field])).size > 1;
  }

  // An age is text: years, or where only the class is known "class:k".
  ageText = (value) => (value.startsWith("class:") ? this.data.ageClasses[Number(value.at(-1))].name : value);

  ageClassValue(value) {
    if (!value || value.startsWith("class:")) return value;
    const index = this.data.ageClasses.findIndex(({ first, last }) => first <= Number(value) && Number(value) <= last);
    return `class:${index}`;
  }

  rateText() {
    const recent = this.saveTimes.slice(-20);
    if (recent.length < 5) return "";
    const minutes = (recent.at(-1) - recent[0]) / 60000;
    return `${Math.round((recent.length - 1) / minutes)} a minute`;
  }

  showBanner(text) {
    this.$("banner").textContent = text;
    this.$("banner").hidden = !text;
  }

  toggleHelp() {
    this.$("help").hidden = !this.$("help").hidden;
  }

  // -- keys -----------------------------------------------------------------------------------------------------
  createCommands() {
    return {
      accept: () => this.act("accept"),
      unsure: () => this.act("unsure"),
      previous: () => this.act("previous"),
      next: () => this.act("next"),
      undo: () => this.undo(),
      help: () => this.toggleHelp(),
      left: () => this.choose(this.chosen - 1),
      right: () => this.choose(this.chosen + 1),
      shot: (key) => this.choose(Number(key) - 1),
      mask: (key) => this.set("mask", this.keyboard.valueOf("mask", key)),
      gender: (key) => this.set("gender", this.keyboard.valueOf("gender", key)),
      age: (key) => this.set("age", this.keyboard.valueOf("age", key)),
      years: () => this.startAge(),
      exclude: () => this.toggleExclude(),
      exclude_all: () => this.toggleExcludeAll(),
      suggestion: () => this.applySuggestions(),
      note: () => this.startNote(),
    };
  }

  handleKey(event) {
    const target = event.composedPath()[0];
    if (isTyping(target) || event.altKey) return;
    const { key, command } = this.keyboard.find(event);
    const hasControl = event.ctrlKey || event.metaKey;
    const run = hasControl ? command && this.commands[command] : this.handlerOf(key, command, target);
    if (!run) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat || key.startsWith("Arrow")) run(key); // a key held down accepts one person only
  }

  // The function for a key in the present state; null leaves the key to the browser.
  handlerOf(key, command, target) {
    if (!this.$("help").hidden || command === "help") return () => this.toggleHelp();
    if (!this.data || (this.shown && !this.isPainted)) return command ? ignore : null;
    if (this.typedAge !== null && this.typedAge !== undefined) return () => this.typeAge(key);
    if (command === "accept" && (target.tagName === "BUTTON" || target.tagName === "A")) return null;
    if (!this.shown && !ALWAYS.has(command)) return command ? ignore : null;
    return command ? this.commands[command] : null;
  }

  choose(index) {
    if (index < 0 || index >= this.shots.length) return;
    this.chosen = index;
    this.drawLabels();
  }

  // A person has one gender and one age; a mask belongs to the chosen shot.
  set(field, value) {
    this.edit((shots) => {
      if (field === "mask") shots[this.chosen].mask = value;
      else for (const shot of shots) shot[field] = value;
    });
  }

  edit(change) {
    if (!this.shown || !this.canWrite()) return;
    this.edits.push(this.shots.map((shot) => ({ ...shot })));
    change(this.shots);
    if (this.pending) this.pending.then = "accept"; // an edit of the person who is being saved: save once more
    this.drawLabels();
  }

  toggleExclude() {
    this.edit((shots) => {
      shots[this.chosen].exclude = shots[this.chosen].exclude === "true" ? "false" : "true";
    });
  }

  toggleExcludeAll() {
    this.edit((shots) => {
      const value = shots.every((shot) => shot.exclude === "true") ? "false" : "true";
      for (const shot of shots) shot.exclude = value;
    });
  }

  // Suggestions that the labels on the screen do not follow: [shot, field, value].
  openSuggestions() {
    const { shots, suggest } = this.shown;
    const found = [];
    shots.forEach((shot, index) => {
      const labels = this.shots[index];
      if (shot.suggest.mask && shot.suggest.mask !== labels.mask) found.push([index, "mask", shot.suggest.mask]);
      for (const field of ["gender", "age"])
        if (suggest[field] && suggest[field].value !== labels[field]) found.push([index, field, suggest[field].value]);
    });
    return found;
  }

  applySuggestions() {
    const found = this.openSuggestions();
    if (!found.length) return;
    this.edit((shots) => {
      for (const [index, field, value] of found) shots[index][field] = value;
    });
  }

  startAge() {
    if (!this.shown || !this.canWrite()) return;
    this.typedAge = "";
    this.drawLabels();
  }

  typeAge(key) {
    if (/^\d$/.test(key) && this.typedAge.length < 3) this.typedAge += key;
    else if (key === "Backspace") this.typedAge = this.typedAge.slice(0, -1);
    else if (key === "Escape") this.typedAge = null;
    else if (key === "Enter") {
      const { maxAge } = this.data;
      const years = this.typedAge === "" ? null : Number(this.typedAge);
      this.typedAge = null;
      if (years !== null && years <= maxAge) this.set("age", String(years));
      else if (years !== null) this.showBanner(`An age must be 0 to ${maxAge}. Got ${years}; the age is unchanged.`);
    }
    this.drawLabels();
  }

  startNote() {
    if (!this.shown || !this.canWrite()) return;
    this.$("note").hidden = false;
    this.$("note").querySelector("input").focus();
  }

  undo() {
    if (this.edits.length && !this.pending) {
      this.shots = this.edits.pop();
      this.drawLabels();
    } else this.act("undo");
  }

  canWrite() {
    if (!this.data.annotator) this.showBanner("Enter your name in the sidebar to save corrections.");
    return Boolean(this.data.annotator);
  }

  // -- to the server --------------------------------------------------------------------------------------------
  act(act) {
    if (act !== "next" && act !== "previous" && !this.canWrite()) return;
    if (this.pending) {
      if (act === "undo" || (act === "unsure" && this.pending.act !== "unsure")) this.pending.then = act;
      return; // accepted already, and no other person is on the screen yet
    }
    this.seq += 1;
    const { shown } = this;
    this.pending = {
      act,
      seq: this.seq,
      session: this.data.session,
      person: shown?.id ?? null,
      note: this.$("note").querySelector("input").value,
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
    clearTimeout(this.pictureTimer); // the answer brings pictures too
    this.send("act", this.pending);
    this.pending.tries = (this.pending.tries ?? 0) + 1;
    this.expectAnswer();
  }

  expectAnswer() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.onTimeout(), TIMEOUT_MS);
  }

  // No answer: the connection is broken, or a new server runs that has no session of this page.
  async onTimeout() {
    const { pending } = this;
    if (!pending) return;
    const where = this.shown ? ` to ${this.shown.id}` : "";
    this.showBanner(`The server does not answer. Your last change${where} is not saved yet.`);
    const isUp = pending.tries >= MAX_RETRIES && (await fetch("_stcore/health").catch(() => null))?.ok;
    if (pending !== this.pending) return;
    if (isUp) {
      sessionStorage.setItem(LOST, JSON.stringify({ person: pending.person }));
      window.location.reload();
    } else this.post(); // the server handles a repeated message once
  }
}

function takeLostMessage() {
  const lost = JSON.parse(sessionStorage.getItem(LOST));
  sessionStorage.removeItem(LOST);
  return lost;
}

function keyButton(key, text, onClick, className = "") {
  const button = element("button", className);
  button.append(element("kbd", "", key), element("span", "", text));
  button.addEventListener("mousedown", (event) => event.preventDefault()); // the focus stays where it is
  button.addEventListener("click", onClick);
  return button;
}

function decode(picture) {
  if (picture.problem) return picture.problem;
  const image = Object.assign(new Image(), { src: picture.image, alt: "", draggable: false });
  image.decode().catch(() => {});
  return image;
}

// "given → now", or the value alone where nothing was changed; `unknown` stands for a label that is not known.
function changeElement(given, now, unknown, text = (value) => value) {
  const box = element("span", "label");
  if (given !== now && given) box.append(element("s", "", text(given)));
  if (now) box.append(element(given === now ? "span" : "b", "", text(now)));
  else box.append(element("i", "", unknown));
  return box;
}

// Whether a photo's file name says nothing that the person's id does not.
function isRepeated(name, id) {
  return name.includes(id) || id.includes(name);
}

// Width divided by height of the median picture.
function medianShape(pictures) {
  const shapes = pictures
    .filter((picture) => picture.naturalWidth)
    .map((picture) => picture.naturalWidth / picture.naturalHeight)
    .sort((a, b) => a - b);
  return shapes.length ? shapes[shapes.length >> 1].toFixed(3) : 0.75;
}

function firstSuspect(person) {
  return Math.max(
    0,
    person.shots.findIndex((shot) => shot.suspect),
  );
}
