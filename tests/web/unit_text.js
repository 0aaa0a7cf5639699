// Tests of Markdown, formulas and text that grows.

import {formulaAt} from '/page/formulas.js';
import {normalized, parseBlocks, renderBlocks} from '/page/markdown.js';
import {StreamedText} from '/page/streamed_text.js';
import {equal, test} from '/tests/unit_harness.js';

function html(text) {
  const element = document.createElement('div');
  element.append(renderBlocks(parseBlocks(normalized(text))));
  return element;
}

const texOf =
    (text) => [...html(text).querySelectorAll('.formula')].map((node) => node.textContent);

// --- Formulas

for (const [text, tex, display] of [
         ['$x^2$ and', 'x^2', false],
         ['$$x\n+ y$$', 'x\n+ y', true],
         ['\\(a\\) b', 'a', false],
         ['\\[ a \\\\[4pt] b \\]', 'a \\\\[4pt] b', true],
         ['$\\$5$', '\\$5', false],
         ['$2x$', '2x', false],
         ['$5 + x$', '5 + x', false],
]) {
  test(`formula ${text}`, () => {
    const found = formulaAt(text);
    equal([found?.tex, found?.display], [tex, display]);
  });
}

for (const text
         of ['$5 and $6', '$5-$6', '$ x$', '$x $', '$5 million or 6$', '$$', '$$$$', '\\[ open',
             '$a\n\nb$', '\\[ \\]']) {
  test(`no formula: ${text}`, () => equal(formulaAt(text), undefined));
}

test('prices in a sentence stay text', () => {
  const text = 'It costs $5 and $6, US$7 or 8$; between $1,000 and $2,000.';
  equal(html(text).textContent.trim(), text);
  equal(texOf(text), []);
});

test(
    'a price before a formula',
    () => equal(texOf('For $5 you get $x_1$ and $x_2$.'), ['$x_1$', '$x_2$']));

test(
    'code has no formulas',
    () => equal(texOf('`$x$` and ``\\(y\\)``\n\n```\n$$z$$\n```\n\n    $a$ indented'), []));

test(
    'formulas keep their underscores, stars and backslashes',
    () => equal(
        texOf('a $x_1*y$ and $z_2*w$, \\(\\{a\\}\\) *so*'),
        ['$x_1*y$', '$z_2*w$', '\\(\\{a\\}\\)']));

test('a display formula may begin a line with a minus', () => {
  const made = html('So\n\\[\na\n- b\n= c\n\\]\nend');
  equal(made.querySelectorAll('ul, h1, h2').length, 0);
  equal(made.querySelectorAll('.formula.display').length, 1);
});

test(
    'a display formula in a list',
    () => equal(html('- so\n  $$x$$\n- b').querySelectorAll('li .formula.display').length, 1));

// --- Markdown

test('raw HTML is text', () => {
  const made = html('<b onclick="x()">bold</b>\n\n<script>x</script>\n\n<div>\n\n*so*\n\n</div>');
  equal(made.querySelectorAll('script, b, div').length, 0);
  equal(made.textContent.includes('<script>x</script>'), true);
});

test('links go to http, https and mailto only', () => {
  const made = html(
      '[a](https://example.org/) [b](javascript:x) [c](mailto:a@example.org) [d](/v1/models) ' +
      '[e](data:text/html,x) [f](JaVaScRiPt:x) <javascript:x> [g](vbscript:x) ' +
      '[h](https://example.org/"onclick=x)');
  equal(
      [...made.querySelectorAll('a')].map((link) => link.protocol),
      ['https:', 'mailto:', 'https:']);
  equal(
      [...made.querySelectorAll('a')].every(
          (link) => link.rel.includes('noopener') && !link.onclick),
      true);
});

test('images become links', () => {
  const made = html('![a <b>](https://example.org/x.png) ![c](data:image/png;base64,x)');
  equal(made.querySelectorAll('img').length, 0);
  equal(made.querySelector('a').textContent, 'a <b>');
});

test('code keeps its text, tabs too', () => {
  equal(
      html('```make\nall:\n\techo <b>\n```').querySelector('pre code').textContent,
      'all:\n\techo <b>');
  equal(html('- a\n\n  ```\n  \tx\n  ```').querySelector('pre code').textContent, '\tx');
});

test('table with its alignment', () => {
  const made = html('| a | b |\n|:-:|--:|\n| $x$ | 2 |');
  equal([...made.querySelectorAll('td')].map((cell) => cell.align), ['center', 'right']);
});

test('inline code in three backticks opens no fence', () => {
  equal(html('```a``` b\n\nc\td').textContent.trim(), 'a bc\td');
});

test('a list begins where it says', () => equal(html('3. a\n4. b').querySelector('ol').start, 3));

// --- Text that grows

const kTexts = [
  '# Title\n\nA paragraph with `code` and $x^2$.\n\n- one\n- two\n\n  more of two\n\n- three\n\n' +
      '```js\nlet a = 1;\n\n\n\tlet b;\n```\n\nEnd.',
  'Before\n===\n\n| a | b |\n|--|--|\n| 1 | 2 |\n\n> quote\n> more\n\nlazy\n\n' +
      '1. a\n\n   $$\n   x\n   - y\n   $$\n2. b\n\n---\n\ntext\\\nbreak  \nend',
  'A [link][1] first.\n\nThen text.\n\n[1]: https://example.org/\n\nMore [link][1].\r\n\r\n' +
      '\tindented\n\n~~~\nopen fence with ```\n\n# no title',
  '\n\n\nA\n\n\n\n* * *\n\n*a*\n**b\n\n<div>\nraw\n</div>\n\n$$\na\n\n\\[ b',
];

function growsToTheSame(text, sizes) {
  const squeezed = (element) => element.innerHTML.replace(/>\s+</g, '><').trim();
  const whole = squeezed(html(text));
  for (const size of sizes) {
    const element = document.createElement('div');
    const streamed = new StreamedText(element);
    for (let end = size; end < text.length + size; end += size) streamed.update(text.slice(0, end));
    streamed.finish();
    if (squeezed(element) !== whole)
      throw new Error(
          `${JSON.stringify(text)} in steps of ${size}: ${squeezed(element)} instead of ${whole}`);
  }
}

kTexts.forEach(
    (text, index) =>
        test(`text ${index} grows to the same page`, () => growsToTheSame(text, [1, 3, 7, 50])));

test('text put together at random grows to the same page', () => {
  const pieces = [
    'text ',     '*em*',
    '**',        '`',
    '``',        '```',
    '\n',        '\n\n',
    '\n- ',      '\n  ',
    '\n1. ',     '2',
    '\n> ',      '$x$',
    '$',         '$$',
    '\\[',       '\\]',
    '| a | b |', '\n|--|--|\n',
    '# ',        '---',
    '    ',      '\t',
    '<b>',       '[a](https://b/)',
    '=',         '~~~',
    '&amp;',     '\\',
    '\r\n',      '- [ ] ',
  ];
  let state = 12345;  // of a linear congruential generator, so that each run has the same texts
  const random = (limit) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor(state / 65536) % limit;
  };
  for (let round = 0; round < 200; ++round) {
    let text = '';
    for (let n = 0; n < 25; ++n) text += pieces[random(pieces.length)];
    growsToTheSame(text, [1, 5]);
  }
});

test('text that grows keeps the blocks that stand', () => {
  const element = document.createElement('div');
  const streamed = new StreamedText(element);
  streamed.update('First.\n\nSecond.\n\nTh');
  const first = element.querySelector('p');
  streamed.update('First.\n\nSecond.\n\nThird.\n\nFourth');
  streamed.finish();
  equal(element.querySelector('p') === first, true);
  streamed.update('Another');
  equal(element.textContent.trim(), 'Another');
});

test('a long answer is parsed once: each update begins at the last block', () => {
  const paragraph =
      'Some *words* with `code`, a [link](https://example.org/) and $x$. '.repeat(4) + '\n\n';
  const element = document.createElement('div');
  const streamed = new StreamedText(element);
  const text = paragraph.repeat(40);
  let made = 0;
  const {createElement} = document;
  document.createElement = function count(...names) {
    made += 1;
    return createElement.apply(this, names);
  };
  for (let end = 20; end < text.length + 20; end += 20) streamed.update(text.slice(0, end));
  document.createElement = createElement;
  equal(element.querySelectorAll('p').length, 40);
  // 13 elements a paragraph, each made anew some 14 times while its paragraph grows; not 40 times
  // that.
  equal(made < 40 * 400, true);
});

test('depth that would end the browser stays text', () => {
  equal(html('>'.repeat(20000) + ' deep').textContent.includes('deep'), true);
  equal(html('> '.repeat(200) + 'deep').textContent.includes('deep'), true);
  equal(html('> '.repeat(200) + 'deep').querySelectorAll('blockquote').length < 50, true);
  html('- '.repeat(500) + 'x');
  html('['.repeat(3000));
  html('*a '.repeat(3000));
});

test('characters as HTML writes them', () => {
  equal(
      html(
          'a &amp; b &copy; `&lt;` &lt;script&gt; "q" \\< ' +
          '[x &amp; y](https://example.org/?a=1&b=2)')
          .textContent.trim(),
      'a & b © &lt; <script> "q" < x & y');
  equal(
      html('[x](https://example.org/?a=1&b=2 "t &quot; u")').querySelector('a').href,
      'https://example.org/?a=1&b=2');
});
