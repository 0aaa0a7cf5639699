// Tests of the page's modules, one by one, in the browser. `window.results` becomes a list of
// {name, problem}; page_test.py reads it.

import {requestBody} from '/page/answer.js';
import {exported, imported} from '/page/conversation_files.js';
import {formulaAt} from '/page/formulas.js';
import {normalized, parseBlocks, renderBlocks} from '/page/markdown.js';
import {statsText, thinkingLabel} from '/page/message_view.js';
import {kNumbers, numberProblem, requestFields, stopProblem} from '/page/sampling.js';
import {SseParser} from '/page/sse.js';
import {StreamedText} from '/page/streamed_text.js';
import * as tree from '/page/tree.js';

const tests = [];
const test = (name, run) => tests.push({name, run});

function equal(got, wanted) {
  const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`got ${a}, wanted ${b}`);
}

function throws(run, words) {
  try {
    run();
  } catch (error) {
    if (error.message.includes(words)) return;
    throw new Error(`said "${error.message}", not "${words}"`);
  }
  throw new Error(`did not say "${words}"`);
}

function html(text) {
  const element = document.createElement('div');
  element.append(renderBlocks(parseBlocks(normalized(text))));
  return element;
}

const texOf =
    (text) => [...html(text).querySelectorAll('.formula')].map((node) => node.textContent);

// --- SSE

const kStream = 'data: {"a":1}\n\n: a comment\r\n\r\nevent: x\r\ndata: two\r\n' +
    'data:  lines\r\n\r\ndata:[DONE]\n\n';
const kEvents = ['{"a":1}', 'two\n lines', '[DONE]'];

test('SSE in one piece', () => equal(new SseParser().push(kStream), kEvents));

test('SSE cut at every place', () => {
  for (let cut = 0; cut <= kStream.length; ++cut) {
    const parser = new SseParser();
    equal([...parser.push(kStream.slice(0, cut)), ...parser.push(kStream.slice(cut))], kEvents);
  }
});

test('SSE character by character', () => {
  const parser = new SseParser();
  equal([...kStream].flatMap((character) => parser.push(character)), kEvents);
});

test('SSE keeps an event that is not whole', () => equal(new SseParser().push('data: x\n'), []));

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

kTexts.forEach((text, index) => test(`text ${index} grows to the same page`, () => {
                 const whole = html(text).innerHTML;
                 for (const size of [1, 3, 7, 50]) {
                   const element = document.createElement('div');
                   const streamed = new StreamedText(element);
                   for (let end = size; end < text.length + size; end += size)
                     streamed.update(text.slice(0, end));
                   streamed.finish();
                   equal(
                       element.innerHTML.replace(/>\s+</g, '><').trim(),
                       whole.replace(/>\s+</g, '><').trim());
                 }
               }));

test('text that grows keeps the blocks that stand', () => {
  const element = document.createElement('div');
  const streamed = new StreamedText(element);
  streamed.update('First.\n\nSecond.\n\nTh');
  const first = element.querySelector('p');
  streamed.update('First.\n\nSecond.\n\nThird.\n\nFourth');
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

// --- Tree

function sample() {
  const conversation = tree.newConversation({system: ' Be brief. ', temperature: '0.5'}, 'm');
  const question = tree.addMessage(conversation, tree.kRoot, 'user', 'Hello\nworld');
  const first = tree.addMessage(conversation, question.id, 'assistant', 'one');
  const second = tree.addMessage(conversation, question.id, 'assistant', 'two');
  return {conversation, question, first, second};
}

const contents = (nodes) => nodes.map((node) => node.content);

test('a new sibling is chosen, the old one stays', () => {
  const {conversation, first, second} = sample();
  equal(contents(tree.path(conversation)), ['Hello\nworld', 'two']);
  equal(tree.branches(conversation, second.id).index, 1);
  equal(tree.stepBranch(conversation, second.id, -1), first.id);
  equal(contents(tree.path(conversation)), ['Hello\nworld', 'one']);
  equal(tree.stepBranch(conversation, first.id, -1), first.id);
});

test('a branch remembers what was chosen below it', () => {
  const {conversation, question} = sample();
  const edited = tree.addMessage(conversation, tree.kRoot, 'user', 'Other');
  equal(contents(tree.path(conversation)), ['Other']);
  tree.stepBranch(conversation, edited.id, -1);
  equal(contents(tree.path(conversation)), ['Hello\nworld', 'two']);
  equal(tree.branches(conversation, question.id).ids.length, 2);
});

test('a request has the system prompt and the messages up to the question', () => {
  const {conversation, first} = sample();
  equal(
      tree.requestMessages(conversation, first.parent),
      [{role: 'system', content: 'Be brief.'}, {role: 'user', content: 'Hello\nworld'}]);
});

test('an answer that has begun is continued', () => {
  const {conversation, first} = sample();
  const body = requestBody(conversation, first);
  equal(body.messages.at(-1), {role: 'assistant', content: 'one'});
  equal(
      [body.continue_final_message, body.add_generation_prompt, body.temperature],
      [true, false, 0.5]);
});

test('the title is the first line, cut', () => {
  equal(sample().conversation.title, 'Hello');
  equal(tree.titleFrom('x'.repeat(100)).length, 60);
});

test('search looks into titles and messages', () => {
  const {conversation} = sample();
  equal(
      ['WORLD', 'two', 'hello', 'three'].map((words) => tree.matches(conversation, words)),
      [true, true, true, false]);
});

test('a file brings conversations back, with new ids', () => {
  const {conversation} = sample();
  const [back] = imported(exported([conversation]));
  equal(contents(tree.path(back)), contents(tree.path(conversation)));
  equal(
      [back.title, back.settings.temperature, back.id === conversation.id],
      ['Hello', '0.5', false]);
  equal(Object.keys(back.nodes).length, 4);
});

const file = (nodes) =>
    JSON.stringify({format: 'hachi-conversations', version: 1, conversations: [{nodes}]});

test('files that are wrong are refused in words', () => {
  throws(() => imported('{'), 'not JSON');
  throws(() => imported('[]'), 'does not hold');
  throws(() => imported(file(null)), 'no messages');
  throws(() => imported(file({root: {children: ['a']}})), 'no role');
  throws(
      () => imported(file(
          {root: {children: ['a', 'b']}, a: {role: 'user', children: ['b']}, b: {role: 'user'}})),
      'two others');
  throws(
      () => imported(file({root: {children: ['a']}, a: {role: 'user', children: ['root']}})),
      'no role');
});

test('a file cannot bring in what is no text', () => {
  const [made] = imported(file({
    root: {children: ['a'], chosen: 'zzz'},
    a: {role: 'user', content: {x: 1}, state: 'running', __proto__: 5}
  }));
  equal(tree.path(made).map(({content, state}) => [content, state]), [['', 'stopped']]);
});

// --- Settings and numbers

test(
    'settings that are empty are left out',
    () => equal(requestFields({temperature: ' ', stop: '\n'}), {}));

test(
    'settings become fields',
    () => equal(
        requestFields(
            {temperature: '0', top_k: '40', seed: '7', stop: 'a\n b', thinking: 'off', junk: '1'}),
        {
          temperature: 0,
          top_k: 40,
          seed: 7,
          stop: ['a', ' b'],
          chat_template_kwargs: {enable_thinking: false}
        }));

test('numbers out of range are named', () => {
  const [temperature] = kNumbers;
  const seed = kNumbers.find((number) => number.key === 'seed');
  equal(numberProblem(temperature, '2.1'), 'Temperature goes from 0 to 2.');
  equal(numberProblem(temperature, 'hot'), 'Temperature is a number.');
  equal(numberProblem(seed, '1.5'), 'Seed is a whole number.');
  equal(numberProblem(seed, '-1'), 'Seed is at least 0.');
  equal(numberProblem(seed, ''), '');
  equal(stopProblem('a\nb\nc\nd\ne'), 'At most 4 stop texts, one a line.');
});

test('the numbers beneath an answer', () => {
  const node = {
    state: 'done',
    content: 'x',
    reasoning: 'y',
    stats: {
      firstMs: 250,
      thinkingMs: 12340,
      writingMs: 2000,
      tokens: 1201,
      thinkingTokens: 340,
      promptTokens: 17,
      cachedTokens: 8,
      exact: true,
      finish: 'length'
    }
  };
  equal(
      statsText(node),
      '600.0 tokens/s · 1,201 tokens · first after 0.3 s · 17 read (8 kept)' +
          ' · cut at the token limit');
  equal(thinkingLabel(node), 'Thought for 12 s · 340 tokens');
  equal(thinkingLabel({...node, state: 'running', content: ''}), 'Thinking… 12 s');
});

const results = [];
for (const {name, run} of tests) {
  let problem = '';
  try {
    run();
  } catch (error) {
    problem = String(error.message ?? error);
  }
  results.push({name, problem});
}
window.results = results;
