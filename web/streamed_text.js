// Markdown that grows: only its last block is parsed and rendered again. Blocks before it cannot
// change any more, so an answer's cost stays in proportion to its length.

import {normalized, parseBlocks, renderBlocks} from './markdown.js';

const kMarker = 12;  // characters; "2" may yet become "2. next" and belong to the list before it

export class StreamedText {
  #element;
  #text = '';
  #fixed = 0;  // characters whose blocks stand
  #tail = [];  // the nodes of the last block
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
    const first = this.#firstOpen(blocks);
    for (const node of this.#tail) node.remove();
    this.#fixed += blocks.slice(0, first).reduce((length, block) => length + block.raw.length, 0);
    this.#element.append(renderBlocks(blocks.slice(0, first)));
    const tail = renderBlocks(blocks.slice(first));
    this.#tail = [...tail.childNodes];
    this.#element.append(tail);
  }

  // The index of the first block that more text could change: the last one, but for empty lines.
  #firstOpen(blocks) {
    // marked keeps definitions of links apart, so that lengths no longer tell where a block stands.
    this.#hasDefinitions ||= Object.keys(blocks.links).length > 0;
    if (this.#hasDefinitions) return 0;
    const last = blocks.findLastIndex((block) => block.type !== 'space');
    const before =
        blocks.slice(0, Math.max(0, last)).findLastIndex((block) => block.type !== 'space');
    const isShort = blocks[last]?.raw.trim().length < kMarker;
    return Math.max(0, isShort && blocks[before]?.type === 'list' ? before : last);
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
