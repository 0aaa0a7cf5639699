// Code with its colours and a button that copies it.

import {copyButton, element} from './dom.js';
import {highlighter} from './library.js';

const kMostHighlighted =
    100_000;  // characters; longer code stays plain, so that the page stays quick

const kDecoder = document.createElement('textarea');

// Text in which characters are written as in HTML (&lt;). Inside a textarea all is text to the
// parser.
export function decoded(text) {
  if (!text.includes('&')) return text;
  kDecoder.innerHTML = text.replaceAll('<', '&lt;');
  return kDecoder.textContent;
}

export function codeBlock(text, language) {
  const name = language || 'text';
  const code = element('code', {}, text);
  if (language && text.length <= kMostHighlighted) highlight(code, text, language);
  return element(
      'figure.code', {},
      element('figcaption', {}, element('span', {}, name), copyButton('Copy code', () => text)),
      element('pre', {tabIndex: 0, role: 'region', 'aria-label': `Code, ${name}`}, code));
}

function highlight(code, text, language) {
  const write = (library) => {
    if (!library.getLanguage(language)) return;
    const {value} = library.highlight(language, text, true);
    code.replaceChildren(spans(value));
  };
  // At once where the library is there, so that code does not flicker while it is streamed.
  if (window.hljs)
    write(window.hljs);
  else
    highlighter().then(write, () => {});
}

// What highlight.js writes, <span class="...">, </span> and escaped text, as elements.
function spans(html) {
  const fragment = document.createDocumentFragment();
  let parent = fragment;
  for (const [part, name] of html.matchAll(/<span class="([^"]*)">|<\/span>|[^<]+|</g)) {
    if (name !== undefined) {
      const span = element('span', {className: name});
      parent.append(span);
      parent = span;
    } else if (part === '</span>') {
      parent = parent.parentNode ?? fragment;
    } else {
      parent.append(decoded(part));
    }
  }
  return fragment;
}
