// Markdown to DOM, for text that nobody vouches for.
//
//   text → marked's tokens → HTML with numbered places for code and formulas → DOMPurify → DOM
//   → the places are filled by code that sets text, never HTML
//
// Raw HTML is shown as text, links go to http, https and mailto only, images become links: the page
// loads nothing from elsewhere.

import { element, copyButton } from './dom.js';
import { formulaExtensions } from './formulas.js';
import { highlighter, katex } from './library.js';

const { marked, DOMPurify } = window;

const kTags = ['a', 'blockquote', 'br', 'code', 'del', 'em', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'hr', 'input',
  'li', 'ol', 'p', 'pre', 'span', 'strong', 'table', 'tbody', 'td', 'th', 'thead', 'tr', 'ul'];
const kAttributes = ['align', 'checked', 'data-place', 'disabled', 'href', 'start', 'title', 'type'];
const kMostHighlighted = 100_000;  // characters; longer code stays plain, so that the page stays quick
const kTab = '\uE000';  // of the private use area

let places = [];  // what the HTML being written has left open: tokens of code and formulas

const escaped = (text) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

function place(tag, token) {
  places.push(token);
  return `<${tag} data-place="${places.length - 1}"></${tag}>`;
}

function link(href, title, text) {
  if (!/^(?:https?:\/\/|mailto:)/i.test(href ?? '')) return text;
  return `<a href="${escaped(href)}"${title ? ` title="${escaped(title)}"` : ''}>${text}</a>`;
}

marked.use({
  gfm: true, headerIds: false, mangle: false,
  extensions: formulaExtensions((token) => place('span', token)),
  renderer: {
    code: (text, info) => place('pre', {
      type: 'code', text: text.replaceAll(kTab, '\t'), language: (info ?? '').trim().split(/\s/, 1)[0] }),
    html: escaped,
    image: (href, title, text) => link(href, title, escaped(text || href)),
    link,
  },
});

// The text as marked's lexer makes it for itself, so that the lengths of its tokens count in it: line
// ends as \n, tabs before a line as spaces. But code keeps its tabs, behind a stand-in.
export function normalized(text) {
  let fence = '';
  return text.replace(/\r\n?/g, '\n').split('\n').map((line) => {
    const mark = /^\s*(?:(?:[-*+>]|\d+\.)\s+)*(`{3,}|~{3,})/.exec(line)?.[1];
    if (fence && mark?.startsWith(fence) && line.trim() === mark) fence = '';
    else if (fence) return line.replaceAll('\t', kTab);
    else if (mark) fence = mark;
    return line.replace(/^( *)(\t+)/, (_, spaces, tabs) => spaces + '    '.repeat(tabs.length));
  }).join('\n');
}

// The blocks of a normalized text; each token's `raw` is its part of the text.
export const parseBlocks = (text) => marked.lexer(text);

export function renderBlocks(blocks) {
  places = [];
  const fragment = DOMPurify.sanitize(marked.parser(blocks), {
    ALLOWED_TAGS: kTags, ALLOWED_ATTR: kAttributes, ALLOW_DATA_ATTR: false, RETURN_DOM_FRAGMENT: true });
  for (const open of fragment.querySelectorAll('[data-place]')) {
    const token = places[Number(open.dataset.place)];
    open.replaceWith(token.type === 'code' ? codeBlock(token) : formula(token));
  }
  for (const anchor of fragment.querySelectorAll('a')) {
    anchor.rel = 'noopener noreferrer nofollow';
    anchor.target = '_blank';
  }
  for (const box of fragment.querySelectorAll('input')) box.ariaLabel = 'task';
  for (const table of fragment.querySelectorAll('table')) {
    const frame = element('div.table-frame', { tabIndex: 0, role: 'region', 'aria-label': 'Table' });
    table.replaceWith(frame);
    frame.append(table);
  }
  return fragment;
}

function codeBlock({ text, language }) {
  const code = element('code', {}, text);
  highlight(code, language);
  return element('figure.code', {},
    element('figcaption', {}, element('span', {}, language || 'text'), copyButton('Copy code', () => text)),
    element('pre', { tabIndex: 0, role: 'region', 'aria-label': `Code, ${language || 'text'}` }, code));
}

async function highlight(code, language) {
  const text = code.textContent;
  if (!language || text.length > kMostHighlighted) return;
  const write = (hljs) => {
    if (!hljs.getLanguage(language)) return;
    const { value } = hljs.highlight(language, text, true);
    code.replaceChildren(DOMPurify.sanitize(value, {
      ALLOWED_TAGS: ['span'], ALLOWED_ATTR: ['class'], ALLOW_DATA_ATTR: false, RETURN_DOM_FRAGMENT: true }));
  };
  // At once where the library is there, so that code does not flicker while it is streamed.
  if (window.hljs) write(window.hljs);
  else highlighter().then(write, () => {});
}

function formula({ tex, display, raw }) {
  const made = element('span', { className: display ? 'formula display' : 'formula' }, raw);
  if (display) Object.assign(made, { tabIndex: 0, role: 'group', ariaLabel: 'Formula' });
  const write = (library) => {
    try {
      made.replaceChildren(typeset(library, tex, display));
    } catch {
      made.classList.add('wrong');  // the source stays
    }
  };
  if (window.katex) write(window.katex);
  else katex().then(write, () => {});
  return made;
}

// As katex.render does, which sets style *properties*, as the Content-Security-Policy wants it; only
// some MathML comes with style *attributes*, and they go: it is for screen readers.
function typeset(library, tex, displayMode) {
  const tree = library.__renderToDomTree(tex, {
    displayMode, throwOnError: true, trust: false, strict: 'ignore', maxSize: 20, maxExpand: 500 });
  const nodes = [tree];
  while (nodes.length) {
    const node = nodes.pop();
    if (node.attributes) delete node.attributes.style;
    nodes.push(...(node.children ?? []));
  }
  return tree.toNode();
}
