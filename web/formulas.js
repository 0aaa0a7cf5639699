// Formulas in Markdown, as extensions of marked: $...$, $$...$$, \(...\) and \[...\]. marked asks
// for them only where text stands, so code is never touched; what is no formula stays text.

const kLongest = 4000;  // characters; an opening mark without an end is given up after so many

// A price is no formula: an opening $ has no space after it, a closing $ none before it and no
// digit after it (pandoc's rule), and "5 million" is not an expression.
const kDollar = /^\$(?![\s$])((?:\\[^]|[^\\$\n]|\n(?!\s*\n))+)\$(?![\d$])/;
const kPrice = /^\d[\d.,]*\s+[a-z]{2,}/i;
const kDisplayDollars = /^\$\$((?:\\[^]|[^\\$]|\$(?!\$))+)\$\$/;
const kParentheses = /^\\\(((?:\\[^)]|[^\\])+)\\\)/;
const kBrackets = /^\\\[((?:\\[^\]]|[^\\])+)\\\]/;

// The formula at the beginning of the text: {raw, tex, display}, or nothing.
export function formulaAt(text) {
  const source = text.slice(0, kLongest);
  let match;
  if ((match = kDisplayDollars.exec(source) ?? kBrackets.exec(source))) {
    return match[1].trim() ? {raw: match[0], tex: match[1].trim(), display: true} : undefined;
  }
  if ((match = kDollar.exec(source))) {
    if (/\s$/.test(match[1]) || kPrice.test(match[1])) return undefined;
    return {raw: match[0], tex: match[1], display: false};
  }
  if ((match = kParentheses.exec(source)))
    return {raw: match[0], tex: match[1].trim(), display: false};
  return undefined;
}

const token = (type, formula) => formula && {type, ...formula};

export function formulaExtensions() {
  return [
    {
      // On lines of its own, where a line of the formula that begins with "-" must not become a
      // list.
      name: 'formulaBlock',
      level: 'block',
      start: (text) => text.match(/\n {0,3}(?=\$\$|\\\[)/)?.index,
      tokenizer(text) {
        const indent = /^ {0,3}/.exec(text)[0];
        const formula = formulaAt(text.slice(indent.length));
        if (!formula?.display) return undefined;
        const after = /^[ \t]*(?:\n|$)/.exec(text.slice(indent.length + formula.raw.length));
        return after ? token('formulaBlock', {...formula, raw: indent + formula.raw + after[0]}) :
                       undefined;
      },
    },
    {
      name: 'formula',
      level: 'inline',
      // Not behind a letter or a digit, as in "US$5".
      start: (text) => text.match(/(?<![A-Za-z0-9\\])\$|\\[([]/)?.index,
      tokenizer: (text) => token('formula', formulaAt(text)),
    }
  ];
}
