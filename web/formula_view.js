// A formula as KaTeX sets it; its source until KaTeX is there, and where KaTeX cannot read it.

import {element} from './dom.js';
import {katex} from './library.js';

export function formulaElement({tex, display, raw}) {
  const made = element('span', {className: display ? 'formula display' : 'formula'}, raw.trim());
  if (display) Object.assign(made, {tabIndex: 0, role: 'group', ariaLabel: 'Formula'});
  const write = (library) => {
    try {
      made.replaceChildren(typeset(library, tex, display));
    } catch {
      made.classList.add('wrong');
    }
  };
  if (window.katex)
    write(window.katex);
  else
    katex().then(write, () => {});
  return made;
}

// As katex.render does, which sets style *properties*, as the Content-Security-Policy wants it;
// only some MathML comes with style *attributes*, and they go: it is for screen readers.
function typeset(library, tex, displayMode) {
  const tree = library.__renderToDomTree(tex, {
    displayMode,
    throwOnError: true,
    trust: false,
    strict: 'ignore',
    maxSize: 20,
    maxExpand: 500
  });
  const nodes = [tree];
  while (nodes.length) {
    const node = nodes.pop();
    if (node.attributes) delete node.attributes.style;
    nodes.push(...(node.children ?? []));
  }
  return tree.toNode();
}
