// Markdown to DOM, for text that nobody vouches for.
//
//   text → marked's tokens → elements
//
// No HTML text is ever made of it, so there is nothing to sanitise: what is no token known here is
// shown as it was written, raw HTML too. Links go to http, https and mailto only, images become
// links: the page loads nothing from elsewhere.

import {codeBlock, decoded} from './code.js';
import {element} from './dom.js';
import {formulaElement} from './formula_view.js';
import {formulaExtensions} from './formulas.js';

const {marked} = window;

const kDeepest = 40;       // quotes and lists in each other; deeper ones stay as written
const kTab = '\uE000';     // of the private use area: stands for a tab in code
const kHeadingsBelow = 2;  // the page's own headings end with this level

marked.use({gfm: true, extensions: formulaExtensions()});

// The text as marked's lexer makes it for itself, so that the lengths of its tokens count in it:
// line ends as \n, tabs before a line as spaces. But code keeps its tabs, behind a stand-in.
export function normalized(text) {
  let fence = '';
  return text.replace(/\r\n?/g, '\n')
      .split('\n')
      .map((line) => {
        const mark = /^\s*(?:(?:[-*+>]|\d+\.)\s+)*(`{3,}(?=[^`]*$)|~{3,})/.exec(line)?.[1];
        if (fence && mark?.startsWith(fence) && line.trim() === mark)
          fence = '';
        else if (fence)
          return line.replaceAll('\t', kTab);
        else if (mark)
          fence = mark;
        return line.replace(/^( *)(\t+)/, (_, spaces, tabs) => spaces + '    '.repeat(tabs.length));
      })
      .join('\n');
}

// The blocks of a normalized text; each token's `raw` is its part of the text. A text that the
// lexer gives up, as thousands of quotes in each other, is one block as it stands. The line end
// makes code of a fence that is still open; it counts in the last token only.
export function parseBlocks(text) {
  try {
    return marked.lexer(`${text}\n`);
  } catch {
    return Object.assign([{type: 'unread', raw: text}], {links: {}});
  }
}

export const renderBlocks = (tokens) => all(tokens, kBlocks, 0);

function all(tokens, kinds, depth) {
  const fragment = document.createDocumentFragment();
  for (const token of tokens ?? []) {
    const render =
        depth < kDeepest && Object.hasOwn(kinds, token.type) ? kinds[token.type] : asWritten;
    fragment.append(render(token, depth + 1));
  }
  return fragment;
}

const plain = (text) => decoded(text).replaceAll(kTab, '\t');
const asWritten = ({raw}) => raw.replaceAll(kTab, '\t');
const nothing = () => '';
const inline = ({tokens}, depth) => all(tokens, kInline, depth);
const wrap = (name) => (token, depth) => element(name, {}, inline(token, depth));

const kBlocks = {
  space: nothing,
  def: nothing,
  code: ({text, lang}) =>
      codeBlock(text.replaceAll(kTab, '\t'), (lang ?? '').trim().split(/\s/, 1)[0]),
  heading: (token, depth) =>
      element(`h${Math.min(6, token.depth + kHeadingsBelow)}`, {}, inline(token, depth)),
  hr: () => element('hr'),
  html: ({raw}) => element('p', {}, raw.trim()),
  blockquote: ({tokens}, depth) => element('blockquote', {}, all(tokens, kBlocks, depth)),
  paragraph: wrap('p'),
  text: (token, depth) => (token.tokens ? inline(token, depth) : plain(token.text)),
  list,
  table,
  formulaBlock: formulaElement,
};

const kInline = {
  escape: ({text}) => plain(text),
  text: (token, depth) => (token.tokens ? inline(token, depth) : plain(token.text)),
  strong: wrap('strong'),
  em: wrap('em'),
  del: wrap('del'),
  br: () => element('br'),
  codespan: ({text}) => element('code', {}, plain(text)),
  link: (token, depth) => link(token, inline(token, depth)),
  image: (token) => link(token, decoded(token.text) || token.href),
  formula: formulaElement,
};

function link({href, title}, content) {
  const address = decoded(href ?? '');
  if (!/^(?:https?:\/\/|mailto:)/i.test(address)) return content;
  const anchor =
      element('a', {href: address, rel: 'noopener noreferrer nofollow', target: '_blank'}, content);
  if (title) anchor.title = decoded(title);
  return anchor;
}

function list({ordered, start, items}, depth) {
  const made = element(ordered ? 'ol' : 'ul');
  if (ordered) made.start = start;
  for (const item of items) {
    const kinds = item.loose ? {...kBlocks, text: wrap('p')} : kBlocks;
    const box = item.task &&
        element('input',
                {type: 'checkbox', checked: item.checked, disabled: true, 'aria-label': 'task'});
    made.append(element('li', {}, box || null, all(item.tokens, kinds, depth)));
  }
  return made;
}

function table({header, align, rows}, depth) {
  const row = (name, cells) => element('tr', {}, ...cells.map((token, column) => {
    const cell = element(name, {}, inline(token, depth));
    if (align[column]) cell.align = align[column];
    return cell;
  }));
  return element(
      'div.table-frame', {tabIndex: 0, role: 'region', 'aria-label': 'Table'},
      element(
          'table', {}, element('thead', {}, row('th', header)),
          element('tbody', {}, ...rows.map((cells) => row('td', cells)))));
}
