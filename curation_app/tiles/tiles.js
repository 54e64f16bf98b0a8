// Many small pictures on a page: mark some, then apply one action to all marked pictures.
//
// A save is kept here until the server confirms that it is on the disk; it carries a name of its own, so that a save that
// arrives twice is written once. All texts are set with textContent: text from a manifest is never run as HTML.

import { Keyboard, element, isDark, isTyping, keyName } from "../shell/browser.js";

const TEXTS = ["head", "label", "hint", "more", "verdict"];

const views = new WeakMap();
const latest = new Map(); // page (prefix of its saves) → its latest view

// Streamlit calls this with each new state of the page. It runs the returned function when the element is gone, but also,
// on a page that is still there, for a state that was replaced before its call was over. So that function must not take
// anything from a page that is still there: marks and unconfirmed saves would be lost.
export default function (component) {
  const { parentElement, data, setStateValue } = component;
  let view = views.get(parentElement);
  if (!view) views.set(parentElement, (view = new TilesView(parentElement, data, latest.get(data.prefix))));
  latest.set(data.prefix, view);
  view.send = setStateValue;
  view.receive(data);
  return () => view.closeIfGone();
}

class TilesView {
  // `previous` is the view of this page before Streamlit put a new element in its place.
  constructor(parent, data, previous) {
    this.parent = parent;
    this.root = element("div", "tiles");
    this.root.tabIndex = -1;
    this.notice = element("p", "notice");
    this.grid = element("div", "grid");
    this.grid.setAttribute("role", "listbox");
    this.grid.setAttribute("aria-multiselectable", "true");
    this.toolbar = element("div", "toolbar");
    this.enlarged = element("div", "enlarged");
    this.enlarged.hidden = true;
    this.root.append(this.notice, this.grid, this.toolbar, this.enlarged);
    parent.append(this.root);
    this.marked = new Set(); // ids
    this.cursor = 0; // index of the tile that keys refer to
    this.anchor = 0; // index where a range begins
    this.pending = []; // saves that the server has not confirmed
    this.confirmed = new Set(); // names of saves that it has
    this.status = { text: "", tone: "" };
    this.keyboard = new Keyboard(data.keyboard);
    if (previous) {
      const { data, marked, cursor, anchor, pending, confirmed } = previous;
      Object.assign(this, { data, marked, cursor, anchor, pending, confirmed, isTakingOver: true });
      previous.close();
    }
    this.commands = this.createCommands();
    this.onKey = (event) => this.handleKey(event);
    document.addEventListener("keydown", this.onKey, true);
  }

  close() {
    document.removeEventListener("keydown", this.onKey, true);
    this.root.remove();
    views.delete(this.parent);
  }

  closeIfGone() {
    if (!this.root.isConnected) this.close();
  }

  // -- from the server ------------------------------------------------------------------------------------------

  receive(data) {
    const isNew = !this.data || this.data.token !== data.token;
    const isOtherPage = isNew && this.data?.selection === data.selection;
    if (isNew && this.marked.size) {
      this.setStatus(
        `${this.marked.size} marks on the previous page were cleared; nothing was saved for them.`,
        "warn",
      );
    } else if (isNew && this.data) {
      this.setStatus("", "");
    }
    const ids = data.tiles.map((tile) => tile.id + (tile.origin ? "+" : "")).join(" ");
    this.data = data;
    this.root.style.colorScheme = isDark(this.root) ? "dark" : "light";
    if (isNew) {
      this.marked.clear();
      this.cursor = this.anchor = 0;
      this.isLeaving = false;
    }
    this.handleResults(data.results);
    if (isNew || ids !== this.ids) this.build();
    this.ids = ids;
    if (this.isTakingOver && this.pending.length) this.send("saves", [...this.pending]); // may not have been sent
    this.isTakingOver = false;
    this.refresh();
    if (isOtherPage) this.root.scrollIntoView({ block: "start" });
  }

  handleResults(results) {
    for (const save of this.pending) {
      const result = results[save.name];
      if (!result) continue;
      this.confirmed.add(save.name);
      if (result.error) for (const id of save.ids) this.marked.add(id); // nothing was written: still to be done
      this.setStatus(result.text, result.error ? "bad" : "good");
    }
    this.pending = this.pending.filter((save) => !this.confirmed.has(save.name));
  }

  // -- on the screen --------------------------------------------------------------------------------------------

  build() {
    const { data } = this;
    const present = new Set(data.tiles.map((tile) => tile.id));
    this.marked = new Set([...this.marked].filter((id) => present.has(id)));
    this.boxes = data.tiles.map((tile, index) => this.buildTile(tile, index));
    this.grid.replaceChildren();
    this.grid.classList.toggle("grouped", Boolean(data.groups));
    this.grid.classList.toggle(
      "paired",
      data.tiles.some((tile) => tile.origin),
    );
    this.grid.style.setProperty("--shape", medianShape(data.tiles).toFixed(3));
    const rows = data.groups?.map((group) => this.buildGroup(group));
    this.boxes.forEach((box, index) => (rows ? rows[data.tiles[index].group] : this.grid).append(box));
    this.buildToolbar();
  }

  // Add a frame to the grid; return the element that its tiles go into.
  buildGroup(group) {
    const box = element("section", "group");
    box.setAttribute("role", "group");
    const head = element("header");
    head.append(element("span", "title", group.title));
    for (const flag of group.flags) head.append(element("span", "flag", flag));
    const row = element("div", "row");
    box.append(head, row);
    this.grid.append(box);
    return row;
  }

  buildTile(tile, index) {
    const box = element("div", "tile");
    box.setAttribute("role", "option");
    box.tabIndex = -1;
    box.dataset.id = tile.id;
    const frame = element("div", "frame");
    if (tile.src) {
      for (const src of tile.origin ? [tile.origin, tile.src] : [tile.src]) {
        frame.append(Object.assign(element("img"), { src, alt: tile.head, draggable: false }));
      }
    } else {
      box.classList.add("missing");
      frame.append(element("span", "problem", tile.problem));
    }
    frame.append(element("span", "check", "✓"));
    const text = element("div", "text");
    for (const name of TEXTS) text.append(element("span", name));
    box.append(frame, text);
    if (tile.href) {
      const link = reviewLink("link", "Review", tile.href);
      link.addEventListener("click", (event) => event.stopPropagation());
      frame.append(link);
    }
    const zoom = Object.assign(element("button", "zoom", "⤢"), { type: "button", tabIndex: -1 });
    zoom.title = `Enlarge (${this.keyboard.keyOf("zoom")})`;
    zoom.addEventListener("click", (event) => {
      event.stopPropagation();
      this.cursor = index;
      this.enlarge(tile.id);
    });
    frame.append(zoom);
    box.addEventListener("click", (event) => this.onClick(index, event.shiftKey));
    box.addEventListener("mousedown", (event) => event.shiftKey && event.preventDefault()); // no text is selected
    return box;
  }

  refresh() {
    const { data } = this;
    const saving = new Set(this.pending.flatMap((save) => save.ids));
    data.tiles.forEach((tile, index) => {
      const box = this.boxes[index];
      for (const name of TEXTS) {
        const span = box.querySelector(`.text > .${name}`);
        span.textContent = tile[name] || "";
        span.hidden = !tile[name];
        span.title = tile[`${name}_title`] || tile[name] || "";
      }
      box.classList.toggle("marked", this.marked.has(tile.id));
      box.classList.toggle("excluded", Boolean(tile.excluded));
      box.classList.toggle("annotated", Boolean(tile.verdict));
      box.classList.toggle("saving", saving.has(tile.id));
      box.classList.toggle("cursor", index === this.cursor && this.isByKeyboard === true);
      box.setAttribute("aria-selected", String(this.marked.has(tile.id)));
    });
    this.notice.textContent = data.tiles.length ? "" : data.empty;
    this.notice.hidden = data.tiles.length > 0;
    this.refreshToolbar();
    this.drawEnlarged();
  }

  // -- the toolbar ----------------------------------------------------------------------------------------------

  buildToolbar() {
    const { data } = this;
    this.count = element("strong", "count");
    this.statusText = element("span", "status");
    this.statusText.setAttribute("role", "status");
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
      const button = keyButton(keyName(action.key), action.text, () => this.apply(action));
      button.dataset.action = action.name;
      section.append(button);
      this.buttons.push(button);
    }
    const commandButton = (command, text) =>
      keyButton(this.keyboard.keyOf(command), text, () => this.commands[command]());
    this.undoButton = commandButton("undo", "Undo");
    this.previousButton = commandButton("previous_page", "←");
    this.nextButton = commandButton("next_page", "→");
    this.previousButton.ariaLabel = "Previous page";
    this.nextButton.ariaLabel = "Next page";
    this.place = element("span", "place");
    const pager = element("div", "pager");
    pager.append(this.previousButton, this.place, this.nextButton);
    const line = element("div", "line");
    line.append(this.count, this.statusText, element("span", "help", data.actions.length ? this.helpText() : ""));
    if (data.actions.length) line.append(this.undoButton);
    line.append(pager);
    this.toolbar.replaceChildren(line, actions);
    actions.hidden = !data.actions.length;
  }

  helpText() {
    const bindings = this.keyboard.bindings.filter(({ text }) => text);
    return [
      `Click or ${this.keyboard.keyOf("mark")}: mark`,
      "Shift+click: mark a range",
      ...bindings.map(({ keys, text }) => `${keyName(keys[0])}: ${text}`),
    ].join(" · ");
  }

  refreshToolbar() {
    const { data } = this;
    const count = this.marked.size;
    this.count.textContent = data.actions.length ? `${count} marked` : "";
    this.count.classList.toggle("some", count > 0);
    const isSaving = this.pending.length > 0;
    this.statusText.textContent = isSaving ? "saving …" : this.status.text || data.whyNot;
    this.statusText.dataset.tone = isSaving ? "" : this.status.text ? this.status.tone : "warn";
    for (const button of this.buttons) button.disabled = !data.enabled || count === 0;
    this.undoButton.disabled = !data.enabled || !data.undo;
    this.undoButton.title = data.undo?.text || "";
    this.previousButton.disabled = data.page <= 0;
    this.nextButton.disabled = data.page >= data.pages - 1;
    const [first, last, total] = [data.first + 1, data.first + data.shown, data.total].map((n) =>
      n.toLocaleString("en"),
    );
    this.place.textContent = data.tiles.length ? `${first}–${last} of ${total} ${data.noun}` : "";
    const isUseless = data.actions.length ? !data.tiles.length && !data.undo && !isSaving : data.pages <= 1;
    this.toolbar.hidden = isUseless;
  }

  setStatus(text, tone) {
    this.status = { text, tone };
  }

  // -- marking --------------------------------------------------------------------------------------------------

  mark(index, isMarked) {
    const tile = this.data.tiles[index];
    if (!this.data.actions.length || !tile?.src) return; // a picture that is not shown cannot be marked
    if (isMarked) this.marked.add(tile.id);
    else this.marked.delete(tile.id);
  }

  toggleMark(index) {
    this.mark(index, !this.marked.has(this.data.tiles[index]?.id));
    this.anchor = index;
  }

  markRange(from, to) {
    const [low, high] = from < to ? [from, to] : [to, from];
    for (let index = low; index <= high; index++) this.mark(index, true);
  }

  onClick(index, isRange) {
    this.isByKeyboard = false;
    if (!this.data.actions.length) {
      this.enlarge(this.data.tiles[index].id);
      return;
    }
    if (isRange) this.markRange(this.anchor, index);
    else this.toggleMark(index);
    this.cursor = index;
    this.onMarksChanged();
  }

  onMarksChanged() {
    this.isLeaving = false;
    this.setStatus("", "");
    this.refresh();
  }

  move(step, isRange) {
    const next = Math.min(Math.max(this.cursor + step, 0), this.data.tiles.length - 1);
    if (this.isByKeyboard || isRange) this.cursor = next; // the first key only shows the cursor
    this.isByKeyboard = true;
    if (isRange) this.markRange(this.anchor, this.cursor);
    else this.anchor = this.cursor;
    this.boxes[this.cursor]?.scrollIntoView({ block: "nearest" });
    this.onMarksChanged();
  }

  columns() {
    const top = this.boxes[this.cursor]?.getBoundingClientRect().top;
    const inRow = this.boxes.filter((box) => Math.abs(box.getBoundingClientRect().top - top) < 4);
    return Math.max(1, inRow.length);
  }

  // -- to the server --------------------------------------------------------------------------------------------

  apply(action) {
    if (!this.data.enabled || !this.marked.size) return;
    const ids = this.data.tiles.map((tile) => tile.id).filter((id) => this.marked.has(id));
    this.save(action.name, ids);
    this.marked.clear();
    this.onMarksChanged();
  }

  undo() {
    if (!this.data.enabled || !this.data.undo) return;
    this.save("undo", [this.data.undo.name]);
    this.onMarksChanged();
  }

  save(action, ids) {
    this.pending.push({ name: newName(this.data.prefix), manifest: this.data.manifest, action, ids });
    this.send("saves", [...this.pending]);
  }

  turn(step) {
    const page = this.data.page + step;
    if (page < 0 || page >= this.data.pages) return;
    if (this.marked.size && !this.isLeaving) {
      this.isLeaving = true; // the second time, the marks are cleared
      this.setStatus(
        `${this.marked.size} marked pictures are not saved. Turn the page again to clear the marks.`,
        "warn",
      );
      this.refresh();
      return;
    }
    this.marked.clear();
    this.send("page", { of: this.data.selection, page });
  }

  // -- one picture enlarged -------------------------------------------------------------------------------------

  enlarge(id) {
    this.wanted = id;
    this.send("enlarged", id);
  }

  closeEnlarged() {
    this.wanted = null;
    this.enlarged.hidden = true;
    this.send("enlarged", null);
  }

  drawEnlarged() {
    const { enlarged } = this.data;
    if (!enlarged || enlarged.id !== this.wanted) {
      this.enlarged.hidden = true;
      return;
    }
    const card = element("div", "card");
    const row = element("div", "row");
    for (const picture of enlarged.pictures) {
      const figure = element("figure");
      if (picture.src) figure.append(Object.assign(element("img"), { src: picture.src, alt: picture.caption }));
      else figure.append(element("span", "problem", picture.problem));
      figure.append(element("figcaption", "", picture.caption));
      row.append(figure);
    }
    const list = element("dl");
    for (const [name, value] of enlarged.lines) list.append(element("dt", "", name), element("dd", "", value));
    const foot = element("footer");
    if (enlarged.href) foot.append(reviewLink("", "Open this person in Review", enlarged.href));
    foot.append(keyButton(this.keyboard.keyOf("cancel"), "Close", () => this.closeEnlarged()));
    card.append(row, list, foot);
    this.enlarged.replaceChildren(card);
    this.enlarged.hidden = false;
    this.enlarged.onclick = (event) => event.target === this.enlarged && this.closeEnlarged();
  }

  // -- keys -----------------------------------------------------------------------------------------------------

  createCommands() {
    const forAll = (isMarked) => {
      this.data.tiles.forEach((tile, index) => this.mark(index, isMarked(tile)));
      this.onMarksChanged();
    };
    return {
      left: (isRange) => this.move(-1, isRange),
      right: (isRange) => this.move(1, isRange),
      up: (isRange) => this.move(-this.columns(), isRange),
      down: (isRange) => this.move(this.columns(), isRange),
      previous_page: () => this.turn(-1),
      next_page: () => this.turn(1),
      undo: () => this.undo(),
      zoom: () => this.data.tiles.length && this.enlarge(this.data.tiles[this.cursor].id),
      mark: () => {
        this.isByKeyboard = true;
        this.toggleMark(this.cursor);
        this.onMarksChanged();
      },
      mark_all: () => forAll(() => true),
      invert_marks: () => forAll((tile) => !this.marked.has(tile.id)),
      cancel: () => forAll(() => false),
    };
  }

  handleKey(event) {
    if (!this.data || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.composedPath()[0];
    if (isTyping(target)) return;
    const isOnButton = target instanceof Element && target.closest("button, a, summary");
    if (isOnButton && (event.key === "Enter" || event.key === " ")) return;
    const { key, command } = this.keyboard.find(event);
    const run = this.enlarged.hidden ? this.handlerOf(key, command) : this.enlargedHandlerOf(command);
    if (!run) return;
    run(event.shiftKey);
    event.preventDefault();
    event.stopPropagation();
  }

  // The function for a key in the present state; undefined leaves the key to the browser.
  handlerOf(key, command) {
    const isNavigation = ["left", "right", "up", "down", "previous_page", "next_page"].includes(command);
    if (isNavigation || (command === "zoom" && this.data.tiles.length)) return this.commands[command];
    if (!this.data.actions.length) return undefined;
    if (command && command !== "zoom") return this.commands[command];
    const action = this.data.actions.find((entry) => entry.key === key);
    return action && (() => this.apply(action));
  }

  enlargedHandlerOf(command) {
    if (command === "cancel" || command === "zoom") return () => this.closeEnlarged();
    if (command !== "left" && command !== "right") return undefined;
    return () => {
      this.commands[command](false);
      this.enlarge(this.data.tiles[this.cursor].id);
    };
  }
}

function keyButton(key, text, onClick) {
  const button = Object.assign(element("button", "", text), { type: "button" });
  button.append(element("kbd", "", key));
  button.addEventListener("click", onClick);
  return button;
}

// A link to the review page in a new tab, so that the marks of this page stay.
function reviewLink(className, text, href) {
  return Object.assign(element("a", className, text), { href, target: "_blank", rel: "noopener" });
}

function newName(prefix) {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return prefix + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Width divided by height of the median picture.
function medianShape(tiles) {
  const shapes = tiles
    .filter((tile) => tile.w)
    .map((tile) => tile.w / tile.h)
    .sort((a, b) => a - b);
  return shapes.length ? shapes[shapes.length >> 1] : 0.75;
}
