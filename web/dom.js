// Elements without HTML text, so that nothing a model or a user wrote is ever parsed as HTML here.

// element('button.primary', {type: 'button', onclick: f}, 'Text', child, ...)
export function element(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split('.');
  const made = document.createElement(tag);
  if (classes.length) made.classList.add(...classes);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made && !key.startsWith('aria'))
      made[key] = value;
    else
      made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export function button(text, onclick, properties = {}) {
  return element('button', {type: 'button', onclick, ...properties}, text);
}

// Copies text; where the page is not served from this machine or with TLS, browsers have no
// clipboard object, and the old command still works.
export async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const focused = document.activeElement;
  const area = element('textarea.visually-hidden', {value: text});
  (document.querySelector('dialog[open]') ?? document.body).append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  focused?.focus();
  if (!copied) throw new Error('The browser does not let the page copy.');
}

// A button that copies what `text()` gives and says so for a moment.
export function copyButton(label, text) {
  const made = button('Copy', async () => {
    try {
      await copyText(text());
      made.textContent = 'Copied';
      announce('Copied');
    } catch {
      made.textContent = 'Not copied';
    }
    setTimeout(() => {
      made.textContent = 'Copy';
    }, 1500);
  }, {'aria-label': label, title: label});
  return made;
}

export const byId = (id) => document.getElementById(id);

// Said to screen readers, seen by nobody.
export function announce(text) {
  byId('announcer').textContent = text;
}
