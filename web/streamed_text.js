// Markdown that grows: only its last block is parsed and rendered again. Blocks before it rarely
// change any more, so an answer's cost stays in proportion to its length; where one did, the end
// repairs it.

import {normalized, parseBlocks, renderBlocks} from './markdown.js';

const kMarker = 12;  // characters; "2" may yet become "2. next" and belong to the list before it

export class StreamedText {
  #element;
  #text = '';
  #standing = [];  // the blocks before the last one
  #fixed = 0;      // their characters
  #open = [];      // the blocks from there on
  #tail = [];      // their nodes
  #hasDefinitions = false;
  #hasGrown = false;

  constructor(element) {
    this.#element = element;
  }

  // Shows a text. One that begins with what was shown goes the short way.
  update(grown) {
    const text = normalized(grown);
    if (text === this.#text) return;
    if (!text.startsWith(this.#text)) this.#restart();
    this.#hasGrown = this.#text !== '';
    this.#text = text;
    const blocks = parseBlocks(text.slice(this.#fixed));
    const first = this.#firstOpen(blocks);
    const standing = blocks.slice(0, first);
    this.#open = blocks.slice(first);
    for (const node of this.#tail) node.remove();
    for (const {type, raw} of standing) {
      this.#standing.push({type, raw});
      this.#fixed += raw.length;
    }
    this.#element.append(renderBlocks(standing));
    const tail = renderBlocks(this.#open);
    this.#tail = [...tail.childNodes];
    this.#element.append(tail);
  }

  // After the last update: renders again if the whole text has other blocks than its parts had, or
  // links that are defined below the place where they stand.
  finish() {
    if (!this.#hasGrown) return;
    this.#hasGrown = false;
    const blocks = parseBlocks(this.#text);
    const shown = [...this.#standing, ...this.#open];
    const isSame = blocks.length === shown.length && blocks.every(({type, raw}, index) => {
      return type === shown[index].type && raw === shown[index].raw;
    });
    if (isSame && !this.#hasDefinitions) return;
    const text = this.#text;
    this.#restart();
    this.update(text);
  }

  // The index of the first block that more text could change: the last one, but for empty lines.
  #firstOpen(blocks) {
    // marked keeps definitions of links apart, so that lengths no longer tell where a block stands.
    this.#hasDefinitions ||= Object.keys(blocks.links).length > 0;
    if (this.#hasDefinitions) return 0;
    const last = blocks.findLastIndex((block) => block.type !== 'space');
    const before = blocks.slice(0, Math.max(0, last)).findLastIndex(({type}) => type !== 'space');
    const isShort = blocks[last]?.raw.trim().length < kMarker;
    return Math.max(0, isShort && blocks[before]?.type === 'list' ? before : last);
  }

  #restart() {
    this.#element.replaceChildren();
    this.#text = '';
    this.#standing = [];
    this.#fixed = 0;
    this.#open = [];
    this.#tail = [];
    this.#hasDefinitions = false;
    this.#hasGrown = false;
  }
}
