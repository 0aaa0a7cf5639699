// Markdown that grows: only its last block is parsed and rendered again. Blocks before it cannot
// change any more, so an answer's cost stays in proportion to its length.

import { normalized, parseBlocks, renderBlocks } from './markdown.js';

export class StreamedText {
  #element;
  #text = '';
  #fixed = 0;       // characters whose blocks stand
  #tail = [];       // the nodes of the last block
  #hasDefinitions = false;

  constructor(element) {
    this.#element = element;
  }

  // Shows a text. One that begins with what was shown goes the short way.
  update(grown) {
    const text = normalized(grown);
    if (text === this.#text) return;
    if (!text.startsWith(this.#text)) this.#restart();
    this.#text = text;
    const blocks = parseBlocks(text.slice(this.#fixed));
    const last = blocks.findLastIndex((block) => block.type !== 'space');
    const standing = blocks.slice(0, Math.max(0, last));
    this.#hasDefinitions ||= blocks.some((block) => block.type === 'def');
    for (const node of this.#tail) node.remove();
    if (standing.length) {
      this.#fixed += standing.reduce((length, block) => length + block.raw.length, 0);
      this.#element.append(renderBlocks(standing));
    }
    const tail = renderBlocks(blocks.slice(Math.max(0, last)));
    this.#tail = [...tail.childNodes];
    this.#element.append(tail);
  }

  // After the last update. Links may be defined below the place where they stand, so only now are
  // all of them known.
  finish() {
    if (!this.#hasDefinitions) return;
    const text = this.#text;
    this.#restart();
    this.#element.append(renderBlocks(parseBlocks(text)));
    this.#text = text;
    this.#fixed = text.length;
  }

  #restart() {
    this.#element.replaceChildren();
    this.#text = '';
    this.#fixed = 0;
    this.#tail = [];
    this.#hasDefinitions = false;
  }
}
