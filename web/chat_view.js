// The messages of the conversation that is shown, and the scrolling: it follows the answer until
// the reader scrolls up, and again once the reader is back at the end.

import {MessageView} from './message_view.js';
import {path} from './tree.js';

const kNearEnd = 48;  // pixels from the end that still count as the end
const kRest = 3;      // after a render that took t, the page is left alone for this times t

export class ChatView {
  #list;
  #scroller;
  #toEnd;
  #actions;
  #conversation = null;
  #views = new Map();  // message id → MessageView
  #following = true;
  #lastTop = 0;
  #waiting = new Set();  // views that have changed since the last frame
  #restUntil = 0;

  constructor({list, scroller, toEnd, actions}) {
    this.#list = list;
    this.#scroller = scroller;
    this.#toEnd = toEnd;
    this.#actions = actions;
    scroller.addEventListener('scroll', () => this.#onScroll(), {passive: true});
    new ResizeObserver(() => this.#follow()).observe(list);
    toEnd.onclick = () => this.scrollToEnd();
  }

  // Shows the chosen messages; those that are there already stay as they are.
  show(conversation) {
    if (conversation !== this.#conversation) {
      this.#conversation = conversation;
      this.#views.clear();
      this.#following = true;
    }
    const nodes = path(conversation);
    const views = nodes.map((node) => this.#view(node));
    const elements = views.map((view) => view.element);
    for (const child of [...this.#list.children])
      if (!elements.includes(child)) child.remove();
    elements.forEach((child, index) => {
      if (this.#list.children[index] !== child)
        this.#list.insertBefore(child, this.#list.children[index] ?? null);
    });
    for (const view of views) view.update();
    this.#follow();
  }

  // Renders a message's change with the next frame, or at once if it is the last one.
  changed(node) {
    const view = this.#views.get(node.id);
    if (!view) return;
    if (node.state !== 'running') {
      this.#waiting.delete(view);
      view.update();
      this.#follow();
      return;
    }
    if (!this.#waiting.size) requestAnimationFrame(() => this.#render());
    this.#waiting.add(view);
  }

  viewOf(id) {
    return this.#views.get(id);
  }

  scrollToEnd() {
    this.#following = true;
    this.#follow();
  }

  #view(node) {
    if (!this.#views.has(node.id)) {
      this.#views.set(node.id, new MessageView(this.#conversation, node, this.#actions));
    }
    return this.#views.get(node.id);
  }

  #render() {
    const started = performance.now();
    if (started < this.#restUntil) return requestAnimationFrame(() => this.#render());
    for (const view of this.#waiting) view.update();
    this.#waiting.clear();
    const ended = performance.now();
    this.#restUntil = ended + kRest * (ended - started);
  }

  #onScroll() {
    const {scrollTop, scrollHeight, clientHeight} = this.#scroller;
    if (scrollHeight - scrollTop - clientHeight < kNearEnd)
      this.#following = true;
    else if (scrollTop < this.#lastTop)
      this.#following = false;
    this.#lastTop = scrollTop;
    this.#toEnd.hidden = this.#following;
  }

  #follow() {
    if (this.#following) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#toEnd.hidden = this.#following;
  }
}
