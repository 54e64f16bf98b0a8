// Many small photos on a page: mark some, settle all that are marked with one key.
//
// A save is kept here until the server says that it is on the disk; it carries its own name, so that one which arrives
// twice is written once. All texts are set with textContent: whatever a manifest holds stays text.

const desks = new WeakMap();

export default function (component) {
  const { parentElement, data, setStateValue } = component;
  let desk = desks.get(parentElement);
  if (!desk) {
    desk = new Desk(parentElement);
    desks.set(parentElement, desk);
  }
  desk.tell = setStateValue;
  desk.show(data);
  return () => {
    desk.close();
    desks.delete(parentElement);
  };
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function newName(kind) {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return kind + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function isDark(at) {
  const colour = getComputedStyle(at).getPropertyValue("--st-background-color").trim();
  const [red, green, blue] = colour.match(/[0-9a-f]{2}/gi)?.map((part) => parseInt(part, 16)) ?? [255, 255, 255];
  return red + green + blue < 384;
}

const TEXTS = ["head", "label", "hint", "more", "said"];
const KEY_NAMES = { Enter: "↵", " ": "space", Escape: "esc", ArrowLeft: "←", ArrowRight: "→" };

class Desk {
  constructor(parent) {
    this.root = element("div", "desk");
    this.root.tabIndex = -1;
    this.notice = element("p", "notice");
    this.grid = element("div", "grid");
    this.grid.setAttribute("role", "listbox");
    this.grid.setAttribute("aria-multiselectable", "true");
    this.dock = element("div", "dock");
    this.look = element("div", "look");
    this.look.hidden = true;
    this.root.append(this.notice, this.grid, this.dock, this.look);
    parent.append(this.root);
    this.marked = new Set(); // ids
    this.cursor = 0; // which tile the keyboard is at
    this.anchor = 0; // where a range begins
    this.pending = []; // saves that the server has not confirmed
    this.done = new Set(); // names of those that it has
    this.status = { text: "", tone: "" };
    this.onKey = (event) => this.key(event);
    document.addEventListener("keydown", this.onKey, true);
  }

  close() {
    document.removeEventListener("keydown", this.onKey, true);
    this.root.remove();
  }

  // -- what the server sent --------------------------------------------------------------------------------------

  show(data) {
    const other = !this.data || this.data.token !== data.token;
    const turned = other && this.data?.choice === data.choice;
    if (other && this.marked.size) {
      this.say(`${this.marked.size} marked on the page before were let go; nothing was said about them.`, "warn");
    } else if (other && this.data) {
      this.say("", "");
    }
    const ids = data.tiles.map((tile) => tile.id + (tile.before ? "+" : "")).join(" ");
    this.data = data;
    this.root.style.colorScheme = isDark(this.root) ? "dark" : "light";
    if (other) {
      this.marked.clear();
      this.cursor = this.anchor = 0;
      this.leaving = false;
    }
    this.settle(data.done);
    if (other || ids !== this.ids) this.build();
    this.ids = ids;
    this.refresh();
    if (turned) this.root.scrollIntoView({ block: "start" });
  }

  settle(done) {
    for (const save of this.pending) {
      const result = done[save.name];
      if (!result) continue;
      this.done.add(save.name);
      if (result.error) {
        for (const id of save.ids) this.marked.add(id); // nothing was written: it is still to be done
        this.say(result.text, "bad");
      } else {
        this.say(result.text, "good");
      }
    }
    this.pending = this.pending.filter((save) => !this.done.has(save.name));
  }

  build() {
    const { data } = this;
    const here = new Set(data.tiles.map((tile) => tile.id));
    this.marked = new Set([...this.marked].filter((id) => here.has(id)));
    this.tiles = data.tiles.map((tile, index) => this.tile(tile, index));
    this.grid.replaceChildren();
    this.grid.classList.toggle("grouped", Boolean(data.groups));
    this.grid.classList.toggle(
      "paired",
      data.tiles.some((tile) => tile.before),
    );
    const shapes = data.tiles
      .filter((tile) => tile.w)
      .map((tile) => tile.w / tile.h)
      .sort((a, b) => a - b);
    this.grid.style.setProperty("--shape", shapes.length ? shapes[shapes.length >> 1].toFixed(3) : "0.75");
    if (data.groups) {
      this.boxes = data.groups.map((group) => {
        const box = element("section", "group");
        box.setAttribute("role", "group");
        const head = element("header", "");
        head.append(element("span", "title", group.title));
        for (const flag of group.flags) head.append(element("span", "flag", flag));
        const row = element("div", "row");
        box.append(head, row);
        this.grid.append(box);
        return row;
      });
    }
    data.tiles.forEach((tile, index) => (data.groups ? this.boxes[tile.group] : this.grid).append(this.tiles[index]));
    this.buildDock();
  }

  tile(tile, index) {
    const box = element("div", "tile");
    box.setAttribute("role", "option");
    box.tabIndex = -1;
    box.dataset.id = tile.id;
    const frame = element("div", "frame");
    if (tile.src) {
      for (const src of tile.before ? [tile.before, tile.src] : [tile.src]) {
        const image = element("img");
        image.src = src;
        image.alt = tile.head;
        image.draggable = false;
        frame.append(image);
      }
    } else {
      box.classList.add("gone");
      frame.append(element("span", "problem", tile.problem));
    }
    frame.append(element("span", "check", "✓"));
    const text = element("div", "text");
    for (const name of TEXTS) text.append(element("span", name));
    box.append(frame, text);
    if (tile.href) {
      const link = element("a", "link", "Review");
      link.href = tile.href;
      link.target = "_blank"; // a tab of its own: the marks of this page stay
      link.rel = "noopener";
      link.addEventListener("click", (event) => event.stopPropagation());
      frame.append(link);
    }
    const zoom = element("button", "zoom", "⤢");
    zoom.type = "button";
    zoom.title = "Look closer (space)";
    zoom.tabIndex = -1;
    zoom.addEventListener("click", (event) => {
      event.stopPropagation();
      this.cursor = index;
      this.open(tile.id);
    });
    frame.append(zoom);
    box.addEventListener("click", (event) => this.click(index, event.shiftKey));
    box.addEventListener("mousedown", (event) => event.shiftKey && event.preventDefault()); // no text is selected
    return box;
  }

  refresh() {
    const { data } = this;
    const saving = new Set(this.pending.flatMap((save) => save.ids));
    data.tiles.forEach((tile, index) => {
      const box = this.tiles[index];
      for (const name of TEXTS) {
        const span = box.querySelector(`.text > .${name}`);
        span.textContent = tile[name] || "";
        span.hidden = !tile[name];
        span.title = tile[`${name}_title`] || tile[name] || "";
      }
      box.classList.toggle("marked", this.marked.has(tile.id));
      box.classList.toggle("out", Boolean(tile.out));
      box.classList.toggle("settled", Boolean(tile.said));
      box.classList.toggle("saving", saving.has(tile.id));
      box.classList.toggle("cursor", index === this.cursor && this.byKeyboard === true);
      box.setAttribute("aria-selected", String(this.marked.has(tile.id)));
    });
    this.notice.textContent = data.tiles.length ? "" : data.empty;
    this.notice.hidden = data.tiles.length > 0;
    this.refreshDock();
    this.showLook();
  }

  // -- the dock --------------------------------------------------------------------------------------------------

  buildDock() {
    const { data } = this;
    this.count = element("strong", "count");
    this.said = element("span", "status");
    this.said.setAttribute("role", "status");
    this.buttons = [];
    const actions = element("div", "actions");
    let section;
    for (const action of data.actions) {
      if (!section || section.dataset.name !== action.section) {
        section = element("div", "section");
        section.dataset.name = action.section;
        section.append(element("span", "name", action.section));
        actions.append(section);
      }
      const button = this.button(action.text, action.key, () => this.act(action));
      button.dataset.action = action.name;
      section.append(button);
      this.buttons.push(button);
    }
    this.undo = this.button("Undo", "u", () => this.takeBack());
    this.before = this.button("←", "[", () => this.turn(-1));
    this.after = this.button("→", "]", () => this.turn(1));
    this.before.ariaLabel = "Page before";
    this.after.ariaLabel = "Next page";
    this.place = element("span", "place");
    const pager = element("div", "pager");
    pager.append(this.before, this.place, this.after);
    const line = element("div", "line");
    line.append(this.count, this.said);
    const help = element("span", "help");
    if (data.actions.length) {
      help.textContent = "click or x marks · shift: a range · a all · o the others · esc none · space looks closer";
    }
    line.append(help);
    if (data.actions.length) line.append(this.undo);
    line.append(pager);
    this.dock.replaceChildren(line, actions);
    actions.hidden = !data.actions.length;
  }

  button(text, key, does) {
    const button = element("button", "", text);
    button.type = "button";
    if (key) button.append(element("kbd", "", KEY_NAMES[key] || key));
    button.addEventListener("click", () => does());
    return button;
  }

  refreshDock() {
    const { data } = this;
    const many = this.marked.size;
    this.count.textContent = data.actions.length ? `${many} marked` : "";
    this.count.classList.toggle("some", many > 0);
    const waiting = this.pending.length;
    const why = data.may ? "" : data.why;
    this.said.textContent = waiting ? "saving …" : this.status.text || why;
    this.said.dataset.tone = waiting ? "" : this.status.text ? this.status.tone : "warn";
    for (const button of this.buttons) button.disabled = !data.may || many === 0;
    this.undo.disabled = !data.may || !data.undo;
    this.undo.title = data.undo?.text || "";
    this.before.disabled = data.page <= 0;
    this.after.disabled = data.page >= data.pages - 1;
    this.place.textContent = data.tiles.length
      ? `${(data.first + 1).toLocaleString("en")}–${(data.first + data.shown).toLocaleString("en")} of ${data.total.toLocaleString("en")} ${data.noun}`
      : "";
    const nothing = data.actions.length ? !data.tiles.length && !data.undo && !waiting : data.pages <= 1;
    this.dock.hidden = nothing;
  }

  say(text, tone) {
    this.status = { text, tone };
  }

  // -- what a person does ----------------------------------------------------------------------------------------

  markable(index) {
    const tile = this.data.tiles[index];
    return this.data.actions.length > 0 && Boolean(tile && tile.src);
  }

  mark(index, on) {
    if (!this.markable(index)) return;
    const { id } = this.data.tiles[index];
    if (on) this.marked.add(id);
    else this.marked.delete(id);
  }

  click(index, range) {
    this.byKeyboard = false;
    if (!this.data.actions.length) {
      this.open(this.data.tiles[index].id);
      return;
    }
    if (range) this.markRange(this.anchor, index);
    else {
      this.mark(index, !this.marked.has(this.data.tiles[index].id));
      this.anchor = index;
    }
    this.cursor = index;
    this.changed();
  }

  markRange(from, to) {
    const [low, high] = from < to ? [from, to] : [to, from];
    for (let index = low; index <= high; index++) this.mark(index, true);
  }

  changed() {
    this.leaving = false;
    this.say("", "");
    this.refresh();
  }

  move(step, range) {
    const next = Math.min(Math.max(this.cursor + step, 0), this.data.tiles.length - 1);
    if (!this.byKeyboard && !range) this.byKeyboard = true;
    else this.cursor = next;
    this.byKeyboard = true;
    if (range) this.markRange(this.anchor, this.cursor);
    else this.anchor = this.cursor;
    this.tiles[this.cursor]?.scrollIntoView({ block: "nearest" });
    this.changed();
  }

  columns() {
    const top = this.tiles[this.cursor]?.getBoundingClientRect().top;
    const inRow = this.tiles.filter((tile) => Math.abs(tile.getBoundingClientRect().top - top) < 4);
    return Math.max(1, inRow.length);
  }

  act(action) {
    if (!this.data.may || !this.marked.size) return;
    const ids = this.data.tiles.map((tile) => tile.id).filter((id) => this.marked.has(id));
    this.send({ name: newName(this.data.kind), manifest: this.data.manifest, action: action.name, ids });
    this.marked.clear();
    this.changed();
  }

  takeBack() {
    if (!this.data.may || !this.data.undo) return;
    this.send({
      name: newName(this.data.kind),
      manifest: this.data.manifest,
      action: "undo",
      ids: [this.data.undo.name],
    });
    this.changed();
  }

  send(save) {
    this.pending.push(save);
    this.tell("saves", [...this.pending]);
  }

  turn(step) {
    const page = this.data.page + step;
    if (page < 0 || page >= this.data.pages) return;
    if (this.marked.size && !this.leaving) {
      this.leaving = true; // once more, and they are let go
      this.say(`${this.marked.size} are marked and not settled. Turn again to let them go.`, "warn");
      this.refresh();
      return;
    }
    this.marked.clear();
    this.tell("page", { of: this.data.choice, page });
  }

  open(id) {
    this.wanted = id;
    this.tell("look", id);
  }

  shut() {
    this.wanted = null;
    this.look.hidden = true;
    this.tell("look", null);
  }

  showLook() {
    const look = this.data.look;
    if (!look || look.id !== this.wanted) {
      this.look.hidden = true;
      return;
    }
    const card = element("div", "card");
    const row = element("div", "row");
    for (const picture of look.pictures) {
      const figure = element("figure");
      if (picture.src) {
        const image = element("img");
        image.src = picture.src;
        image.alt = picture.caption;
        figure.append(image);
      } else figure.append(element("span", "problem", picture.problem));
      figure.append(element("figcaption", "", picture.caption));
      row.append(figure);
    }
    const list = element("dl");
    for (const [name, value] of look.lines) list.append(element("dt", "", name), element("dd", "", value));
    const foot = element("footer");
    if (look.href) {
      const link = element("a", "", "Open this person in Review");
      link.href = look.href;
      link.target = "_blank";
      link.rel = "noopener";
      foot.append(link);
    }
    foot.append(this.button("Close", "Escape", () => this.shut()));
    card.append(row, list, foot);
    this.look.replaceChildren(card);
    this.look.hidden = false;
    this.look.onclick = (event) => event.target === this.look && this.shut();
  }

  key(event) {
    if (!this.data || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = event.composedPath()[0];
    if (
      at instanceof Element &&
      at.closest(
        "input, textarea, select, [contenteditable], [role=combobox], [role=dialog], [data-baseweb=select], [data-baseweb=popover]",
      )
    )
      return;
    if (at instanceof Element && (event.key === "Enter" || event.key === " ") && at.closest("button, a, summary"))
      return;
    if (!this.press(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  press(event) {
    const { key, shiftKey } = event;
    if (!this.look.hidden) {
      if (key === "Escape" || key === " ") this.shut();
      else if (key === "ArrowRight" || key === "ArrowLeft") {
        this.move(key === "ArrowRight" ? 1 : -1, false);
        this.open(this.data.tiles[this.cursor].id);
      } else return false;
      return true;
    }
    const letter = key.length === 1 ? key.toLowerCase() : key;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns(), ArrowUp: -this.columns() };
    if (letter in steps) this.move(steps[letter], shiftKey);
    else if (letter === "]") this.turn(1);
    else if (letter === "[") this.turn(-1);
    else if (letter === " " && this.data.tiles.length) this.open(this.data.tiles[this.cursor].id);
    else if (!this.data.actions.length) return false;
    else if (letter === "x") {
      this.byKeyboard = true;
      this.mark(this.cursor, !this.marked.has(this.data.tiles[this.cursor]?.id));
      this.anchor = this.cursor;
      this.changed();
    } else if (letter === "a") {
      this.data.tiles.forEach((_, index) => this.mark(index, true));
      this.changed();
    } else if (letter === "o") {
      this.data.tiles.forEach((tile, index) => this.mark(index, !this.marked.has(tile.id)));
      this.changed();
    } else if (letter === "Escape") {
      this.marked.clear();
      this.changed();
    } else if (letter === "u") this.takeBack();
    else {
      const action = this.data.actions.find((entry) => entry.key === letter);
      if (!action) return false;
      this.act(action);
    }
    return true;
  }
}
