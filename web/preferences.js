// What the browser remembers beside the conversations: the key, the model, the settings of new
// conversations. Where it keeps nothing for pages, it is remembered until the page is closed.

const kPrefix = 'hachi.';
const held = new Map();

export function preference(name, otherwise = '') {
  if (held.has(name)) return held.get(name);
  try {
    return JSON.parse(localStorage.getItem(kPrefix + name)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function setPreference(name, value) {
  held.set(name, value);
  try {
    localStorage.setItem(kPrefix + name, JSON.stringify(value));
  } catch {
    // It is held.
  }
}
