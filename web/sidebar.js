// The list of conversations: newest first, searched, renamed in place, deleted after a question.

import {ask} from './dialogs.js';
import {button, byId, element} from './dom.js';
import {matches} from './tree.js';

export class Sidebar {
  #list = byId('conversations');
  #search = byId('search');
  #actions;
  #conversations = [];
  #chosen = '';
  #running = new Set();

  // `actions`: open(id), rename(conversation, title), remove(conversation).
  constructor(actions) {
    this.#actions = actions;
    this.#search.oninput = () => this.#draw();
    this.#search.onkeydown = (event) => {
      if (event.key === 'Enter') this.#list.querySelector('a')?.click();
    };
  }

  // `running` holds the ids of the conversations in which an answer is being written.
  show(conversations, chosen, running) {
    this.#conversations = [...conversations].sort((a, b) => b.updated - a.updated);
    this.#chosen = chosen;
    this.#running = running;
    if (!this.#list.querySelector('input')) this.#draw();  // not while a title is being typed
  }

  #draw() {
    const words = this.#search.value;
    const found = this.#conversations.filter((conversation) => matches(conversation, words));
    this.#list.replaceChildren(...found.map((conversation) => this.#row(conversation)));
    byId('no-conversations').hidden = found.length > 0;
    byId('no-conversations').textContent = words ? 'Nothing found.' : 'No conversations yet.';
  }

  #row(conversation) {
    const {id, title} = conversation;
    const link = element('a', {href: `#${id}`, title}, title || 'New chat');
    if (id === this.#chosen) link.setAttribute('aria-current', 'page');
    const row = element(
        'li', {}, link,
        this.#running.has(id) ?
            element('span.running', {role: 'img', 'aria-label': 'being answered'}) :
            null,
        button(
            '✎', () => this.#rename(conversation, row),
            {'aria-label': `Rename ${title}`, title: 'Rename'}),
        button(
            '✕', () => this.#remove(conversation),
            {'aria-label': `Delete ${title}`, title: 'Delete'}));
    return row;
  }

  #rename(conversation, row) {
    const input =
        element('input', {value: conversation.title, 'aria-label': 'Title', maxLength: 200});
    let done = false;
    const leave = (keep) => {
      if (done) return;
      done = true;
      input.remove();
      if (keep && input.value.trim()) this.#actions.rename(conversation, input.value.trim());
      this.#draw();
      this.#list.querySelector(`a[href="#${conversation.id}"]`)?.focus();
    };
    input.onblur = () => leave(true);
    input.onkeydown = (event) => {
      if (event.key === 'Enter') leave(true);
      if (event.key === 'Escape') {
        event.stopPropagation();
        leave(false);
      }
    };
    row.replaceChildren(input);
    input.select();
  }

  async #remove(conversation) {
    const title = conversation.title || 'New chat';
    if (!await ask(`Delete “${title}” with all its versions?`, 'Delete')) return;
    this.#actions.remove(conversation);
    this.#search.focus();
  }
}
