// Helpers that the scripts of all pages share. The server inserts this file where a script imports it: see browser.py.

export function element(tag, className = "", text = "") {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

// Whether the theme is dark, from the colour of the text.
export function isDark(node) {
  const [red, green, blue] = getComputedStyle(node)
    .color.match(/[\d.]+/g)
    .map(Number);
  return red + green + blue > 384;
}

export function isTyping(target) {
  const fields = "input, textarea, select, [contenteditable=true], [role=combobox], [role=dialog]";
  return (
    target instanceof Element && Boolean(target.closest(`${fields}, [data-baseweb=select], [data-baseweb=popover]`))
  );
}

const KEY_NAMES = { " ": "Space", Escape: "Esc", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };

export function keyName(key) {
  return KEY_NAMES[key] ?? key;
}

// The key map that the server sends: see keyboard.py.
export class Keyboard {
  constructor({ labels, bindings }) {
    this.labels = labels; // field → value → key
    this.bindings = bindings;
    this.commands = new Map(); // key → command
    for (const { command, keys } of bindings) for (const key of keys) this.commands.set(key, command);
  }

  // The first key of a command, to be shown on its button.
  keyOf(command) {
    return keyName(this.bindings.find((binding) => binding.command === command).keys[0]);
  }

  // The value of a label that a key sets.
  valueOf(field, key) {
    return Object.entries(this.labels[field]).find(([, other]) => other === key)[0];
  }

  // The key that was pressed and the command bound to it, if there is one.
  find(event) {
    const key = pressedKey(event);
    if (event.ctrlKey || event.metaKey) return { key, command: this.commands.get(`Ctrl+${key}`) };
    const shifted = event.shiftKey && this.commands.get(`Shift+${key}`);
    return { key, command: shifted || this.commands.get(key) };
  }
}

// The letter printed on the key where a Korean, Greek or other layout types another one.
function pressedKey(event) {
  if (event.key.length > 1 && event.key !== "Process") return event.key;
  if (/^[\x20-\x7e]$/.test(event.key)) return event.key.toLowerCase();
  const code = /^(?:Key|Digit|Numpad)(.)$/.exec(event.code);
  return code ? code[1].toLowerCase() : event.key;
}
