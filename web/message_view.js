// One message on the page: thoughts in a fold, text, calls, what went wrong, buttons, numbers.

import {areWhole, CallsView} from './calls_view.js';
import {button, copyButton, element} from './dom.js';
import {StreamedText} from './streamed_text.js';
import {branches} from './tree.js';

const kSpokenLength = 300;  // characters of an answer that are read out when it is finished

const seconds = (ms) => `${(ms / 1000).toFixed(ms < 9950 ? 1 : 0)} s`;
const fine = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : seconds(ms));
const count = (number, exact) => `${exact ? '' : '≈ '}${number.toLocaleString('en')}`;

export function thinkingLabel(node) {
  const {thinkingMs = 0, thinkingTokens = 0, exact = false} = node.stats ?? {};
  if (node.state === 'running' && !node.content && !node.calls.length)
    return `Thinking… ${seconds(thinkingMs)}`;
  const cut = node.truncated ? ' · cut at the budget' : '';
  return `Thought for ${seconds(thinkingMs)} · ${count(thinkingTokens, exact)} tokens${cut}`;
}

export function statsText({state, stats}) {
  if (!stats?.tokens) return state === 'stopped' ? 'stopped' : '';
  const parts = [];
  if (stats.tokens > 1 && stats.writingMs > 0) {
    parts.push(`${((stats.tokens - 1) / stats.writingMs * 1000).toFixed(1)} tokens/s`);
  }
  parts.push(`${count(stats.tokens, stats.exact)} tokens`);
  if (stats.firstMs !== null) parts.push(`first after ${fine(stats.firstMs)}`);
  if (stats.promptTokens !== null) {
    const cached = stats.cachedTokens ? ` (${count(stats.cachedTokens, true)} kept)` : '';
    parts.push(`${count(stats.promptTokens, true)} read${cached}`);
  }
  if (state === 'stopped') parts.push('stopped');
  if (state === 'done' && stats.finish === 'length') parts.push('cut at the token limit');
  return parts.join(' · ');
}

// What is read out when an answer has ended.
export function spoken(node) {
  if (node.state === 'failed') return '';  // the error is an alert of its own
  const state = node.state === 'stopped' ? 'Stopped.' : 'The answer is complete.';
  if (areWhole(node) && node.calls.length) {
    return `The answer waits for the results of ${node.calls.map(({name}) => name).join(', ')}.`;
  }
  const words = node.content.split(/\s+/).length;
  return node.content.length <= kSpokenLength ? `${state} ${node.content}` :
                                                `${state} ${words} words.`;
}

export class MessageView {
  #conversation;
  #actions;
  #body = element('div.prose');
  #thoughts = null;
  #calls = null;
  #error = element('div.error', {hidden: true, role: 'alert'});
  #buttons = element('div.buttons');
  #stats = element('span.stats');
  #text = null;  // of an answer; a user's message is shown as it was typed
  #shownState = '';

  // `actions`: edit(node, text) → whether it was taken, regenerate(node), proceed(node),
  // stepBranch(node, step), enterKey(), and those of CallsView.
  constructor(conversation, node, actions) {
    this.node = node;
    this.#conversation = conversation;
    this.#actions = actions;
    const isUser = node.role === 'user';
    this.element = element(
        `article.message.${node.role}`, {},
        element('h2.visually-hidden', {}, isUser ? 'You' : 'Answer'));
    this.element.dataset.id = node.id;
    if (isUser) {
      this.#body.textContent = node.content;
    } else {
      this.#text = new StreamedText(this.#body);
      this.#thoughts = new ThoughtsView(node);
      this.#calls = new CallsView(node, actions);
      this.element.append(this.#thoughts.element);
    }
    this.element.append(
        this.#body, this.#calls?.element ?? '', this.#error,
        element('footer', {}, this.#buttons, this.#stats));
  }

  update() {
    const {node} = this;
    if (this.#text) {
      this.#text.update(node.content);
      this.#thoughts.update();
      this.#calls.update();
      this.#stats.textContent = statsText(node);
      this.element.ariaBusy = String(node.state === 'running');
    }
    const {ids, index} = branches(this.#conversation, node.id);
    const state = `${node.state} ${index} ${ids.length}`;
    if (state === this.#shownState) return;
    this.#shownState = state;
    if (node.state !== 'running') this.#text?.finish();
    this.#showError();
    this.#showButtons(index, ids.length);
  }

  focusBranch(step) {
    const [back, on] = this.#buttons.querySelectorAll('.branches button');
    const wanted = step < 0 ? back : on;
    (wanted?.disabled ? (step < 0 ? on : back) : wanted)?.focus();
  }

  edit() {
    const area =
        element('textarea', {value: this.node.content, rows: 4, 'aria-label': 'Edit the message'});
    const leave = () => {
      form.replaceWith(this.#body);
      this.element.classList.remove('editing');
    };
    const send = () => {
      if (area.value.trim() && this.#actions.edit(this.node, area.value)) leave();
    };
    const form = element(
        'form.edit', {
          onsubmit: (event) => {
            event.preventDefault();
            send();
          }
        },
        area,
        element(
            'div.buttons', {}, element('button.primary', {type: 'submit'}, 'Send'),
            button('Cancel', () => {
              leave();
              this.#focusButton('Edit');
            })));
    area.onkeydown = (event) => {
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        send();
      }
      if (event.key === 'Escape') {
        event.stopPropagation();
        leave();
        this.#focusButton('Edit');
      }
    };
    this.element.classList.add('editing');
    this.#body.replaceWith(form);
    area.focus();
  }

  #focusButton(text) {
    [...this.#buttons.children].find((child) => child.textContent === text)?.focus();
  }

  #showError() {
    const {error, state} = this.node;
    this.#error.hidden = state !== 'failed';
    if (state !== 'failed') return;
    // What has come stays: another try begins a version of its own.
    const retry = button('Try again', () => {
      if (this.node.content || this.node.calls.length)
        this.#actions.regenerate(this.node);
      else
        this.#actions.proceed(this.node);
    });
    const enterKey =
        error?.status === 401 ? button('Enter the key', () => this.#actions.enterKey()) : null;
    this.#error.replaceChildren(
        element('p', {}, error?.message ?? 'The answer failed.'),
        element('div.buttons', {}, enterKey ?? '', retry));
  }

  #showButtons(index, total) {
    const {node} = this;
    if (node.state === 'running') return this.#buttons.replaceChildren();
    const shown = [];
    if (total > 1) {
      const step = (text, by, label, disabled) => button(
          text, () => this.#actions.stepBranch(node, by),
          {'aria-label': label, title: label, disabled});
      shown.push(element(
          'span.branches', {role: 'group', 'aria-label': 'Versions'},
          step('‹', -1, 'The version before', index === 0), `${index + 1}/${total}`,
          step('›', 1, 'The next version', index === total - 1)));
    }
    if (node.content) shown.push(copyButton('Copy the message', () => node.content));
    if (node.role === 'user') {
      shown.push(button('Edit', () => this.edit(), {title: 'Edit into a new version'}));
    } else {
      shown.push(
          button('Regenerate', () => this.#actions.regenerate(node), {title: 'Another answer'}));
      const isWhole = node.state === 'done' && node.stats?.finish !== 'length';
      if (node.content && !node.calls.length && !isWhole) {
        shown.push(
            button('Continue', () => this.#actions.proceed(node), {title: 'Write on from here'}));
      }
    }
    this.#buttons.replaceChildren(...shown);
  }
}

// The fold. What is in it is rendered only while it is open: most readers leave it closed.
class ThoughtsView {
  #node;
  #label = element('summary');
  #body = element('div.prose');
  #text = new StreamedText(this.#body);

  constructor(node) {
    this.#node = node;
    this.element = element(
        'details.thoughts', {hidden: true, ontoggle: () => this.update()}, this.#label, this.#body);
  }

  update() {
    this.element.hidden = !this.#node.reasoning;
    if (this.element.hidden) return;
    this.#label.textContent = thinkingLabel(this.#node);
    if (!this.element.open) return;
    this.#text.update(this.#node.reasoning);
    if (this.#node.state !== 'running') this.#text.finish();
  }
}
