// Tests of the stream of events, the conversation tree, files and settings.

import {requestBody} from '/page/answer.js';
import {exported, imported} from '/page/conversation_files.js';
import {statsText, thinkingLabel} from '/page/message_view.js';
import {kNumbers, numberProblem, requestFields, stopProblem} from '/page/sampling.js';
import {SseParser} from '/page/sse.js';
import * as tree from '/page/tree.js';
import {equal, test, throws} from '/tests/unit_harness.js';

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
      '600.0 tokens/s · 1,201 tokens · first after 250 ms · 17 read (8 kept)' +
          ' · cut at the token limit');
  equal(thinkingLabel(node), 'Thought for 12 s · 340 tokens');
  equal(thinkingLabel({...node, state: 'running', content: ''}), 'Thinking… 12 s');
});
