// The calls of an answer: each a card with the function's name and the arguments as they come, then
// a field for the result. All of it is text to the page.

import {button, element} from './dom.js';
import {indented} from './json_text.js';

// Whether results can be given: the answer has ended, and none of its calls was broken off.
export function areWhole({calls, state}) {
  return state === 'done' && calls.every(({arguments: text}) => {
    try {
      JSON.parse(text);
      return true;
    } catch {
      return false;
    }
  });
}

export class CallsView {
  #node;
  #actions;
  #cards = [];

  // `actions`: sendResult(node, index, text), editResult(node, index, text) → whether it was taken.
  constructor(node, actions) {
    this.#node = node;
    this.#actions = actions;
    this.element = element('div.calls', {hidden: true});
  }

  update() {
    const {calls} = this.#node;
    this.element.hidden = calls.length === 0;
    while (this.#cards.length > calls.length) this.#cards.pop().element.remove();
    while (this.#cards.length < calls.length) {
      const card = new CallCard(this.#node, this.#cards.length, {
        send: (index, text) => this.#actions.sendResult(this.#node, index, text),
        edit: (index, text) => this.#actions.editResult(this.#node, index, text),
      });
      this.#cards.push(card);
      this.element.append(card.element);
    }
    for (const card of this.#cards) card.update();
  }
}

class CallCard {
  #node;
  #index;
  #actions;
  #name = element('code');
  #state = element('span.state');
  #arguments = element('code');
  #foot = element('div');
  #shownArguments = null;
  #shownFoot = '';

  constructor(node, index, actions) {
    this.#node = node;
    this.#index = index;
    this.#actions = actions;
    this.element = element(
        'details.call', {open: true}, element('summary', {}, this.#name, this.#state),
        element(
            'pre', {tabIndex: 0, role: 'region', 'aria-label': 'Arguments of the call'},
            this.#arguments),
        this.#foot);
  }

  update() {
    const {name, arguments: text, result} = this.#node.calls[this.#index];
    this.#name.textContent = name;
    if (text !== this.#shownArguments) this.#arguments.textContent = indented(text);
    this.#shownArguments = text;
    const foot = this.#footNow(result);
    if (foot === this.#shownFoot) return;
    this.#shownFoot = foot;
    this.#state.textContent = foot;
    if (foot === 'waits for its result')
      this.#showField();
    else if (foot === 'has its result')
      this.#showResult(result);
    else
      this.#foot.replaceChildren();
  }

  // What stands behind the name, which also tells what stands below the arguments.
  #footNow(result) {
    if (result !== null) return 'has its result';
    if (this.#node.state === 'running') return 'is being written…';
    return areWhole(this.#node) ? 'waits for its result' : 'was broken off';
  }

  #showField() {
    const area = element('textarea', {rows: 2});
    this.#foot.replaceChildren(this.#form(area, () => this.#actions.send(this.#index, area.value)));
  }

  #showResult(result) {
    const edit = button('Edit', () => {
      const area = element('textarea', {rows: 3, value: result});
      const cancel = button('Cancel', () => this.#showResult(result));
      const send = () => {
        if (this.#actions.edit(this.#index, area.value)) this.#showResult(result);
      };
      this.#foot.replaceChildren(this.#form(area, send, cancel));
      area.focus();
    }, {'aria-label': 'Edit the result', title: 'Edit into a new version'});
    this.#foot.replaceChildren(
        element('div.row', {}, element('strong.grow', {}, 'Result'), edit),
        element('pre', {tabIndex: 0, role: 'region', 'aria-label': 'Result of the call'}, result));
  }

  #form(area, send, ...more) {
    const {name} = this.#node.calls[this.#index];
    area.ariaLabel = `Result of ${name}`;
    return element(
        'form.result', {
          onsubmit: (event) => {
            event.preventDefault();
            send();
          }
        },
        element('label', {}, 'Result', area),
        element(
            'div.buttons', {}, element('button.primary', {type: 'submit'}, 'Send result'),
            ...more));
  }
}
