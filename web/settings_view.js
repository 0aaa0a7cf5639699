// The dialog for the settings of a conversation. They are kept as they are typed; empty means the
// server's default.

import {byId, element} from './dom.js';
import {kNumbers, numberProblem, stopProblem, toolsProblem} from './sampling.js';

const dialog = byId('settings-dialog');
const form = byId('settings-form');
const problem = byId('settings-problem');

byId('settings-numbers')
    .append(...kNumbers.map(
        ({key, label, help}) => element(
            'div.field', {}, element('label', {htmlFor: `set-${key}`}, label), element('input', {
              id: `set-${key}`,
              name: key,
              inputMode: 'decimal',
              autocomplete: 'off',
              placeholder: 'default',
              'aria-describedby': `help-${key}`
            }),
            element('small', {id: `help-${key}`}, help))));

function firstProblem() {
  for (const number of kNumbers) {
    const input = form.elements[number.key];
    const text = numberProblem(number, input.value);
    if (text) return {input, text};
  }
  const {stop, tools} = form.elements;
  const text = stopProblem(stop.value);
  return text ? {input: stop, text} : {input: tools, text: toolsProblem(tools.value)};
}

function typed() {
  const settings = {};
  for (const {name, value} of form.elements)
    if (name && value.trim()) settings[name] = value;
  return settings;
}

// Opens the dialog; `save(settings, alsoForNew)` is called when the reader saves.
export function editSettings(settings, save) {
  for (const field of form.elements)
    if (field.name) field.value = settings[field.name] ?? '';
  problem.textContent = '';
  byId('settings-for-new').checked = false;
  byId('settings-reset').onclick = () => {
    for (const field of form.elements)
      if (field.name) field.value = '';
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    const {input, text} = firstProblem();
    problem.textContent = text;
    for (const field of form.elements) field.removeAttribute('aria-invalid');
    if (text) {
      input.setAttribute('aria-invalid', 'true');
      input.focus();
      return;
    }
    save(typed(), byId('settings-for-new').checked);
    dialog.close();
  };
  dialog.showModal();
}
