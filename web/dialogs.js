// The small dialogs: a question, the API key, a short notice. <dialog> keeps the focus in and gives
// it back, and closes on Escape.

import {byId} from './dom.js';

// Waits until the dialog is closed, for its value; one that is open already is not asked twice.
async function opened(dialog) {
  if (dialog.open) return '';
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    // The event comes late: that of the last time may find the dialog open again.
    dialog.onclose = () => {
      if (!dialog.open) resolve(dialog.returnValue);
    };
  });
}

// Buttons with data-close end their dialog, with that value; so does Enter in a field of `form`.
for (const dialog of document.querySelectorAll('dialog')) {
  dialog.addEventListener('click', ({target}) => {
    if (target.dataset.close !== undefined) dialog.close(target.dataset.close);
    if (target === dialog) dialog.close('');  // beside it
  });
}

// Whether the reader says yes.
export async function ask(question, yes) {
  byId('question').textContent = question;
  byId('question-yes').textContent = yes;
  return await opened(byId('question-dialog')) === 'yes';
}

// The key that was typed, or null.
export async function askKey(current, reason) {
  const dialog = byId('key-dialog');
  const input = byId('key');
  input.value = current;
  byId('key-reason').textContent = reason;
  byId('key-form').onsubmit = (event) => {
    event.preventDefault();
    dialog.close('save');
  };
  return await opened(dialog) === 'save' ? input.value.trim() : null;
}

export function showShortcuts() {
  if (!byId('shortcuts-dialog').open) byId('shortcuts-dialog').showModal();
}

let hiding = 0;

// A line at the foot of the page, for some seconds.
export function notice(text) {
  const line = byId('notice');
  line.textContent = text;
  line.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => {
    line.hidden = true;
  }, 8000);
}
