// Tests of the stream of events, the conversation tree, files and settings.

import {requestBody} from '/page/answer.js';
import {areWhole} from '/page/calls_view.js';
import {exported, imported} from '/page/conversation_files.js';
import {indented} from '/page/json_text.js';
import {statsText, thinkingLabel} from '/page/message_view.js';
import {kNumbers, numberProblem, requestFields, stopProblem, toolFields, toolsProblem} from '/page/sampling.js';
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

// --- Calls

test('a call\'s arguments are indented, cut anywhere', () => {
  const text = '{"a\\"}":[1,{"b" : "x, y: {"}],"c":{},"d":[]}';
  const lines = [
    '{', '  "a\\"}": [', '    1,', '    {', '      "b": "x, y: {"', '    }', '  ],', '  "c": {},',
    '  "d": []', '}'
  ];
  equal(indented(text).split('\n'), lines);
  const plain = (shown) => shown.replaceAll(/\s/g, '');
  for (let cut = 0; cut <= text.length; ++cut) {
    const shown = indented(text.slice(0, cut));
    equal(plain(shown), plain(text.slice(0, cut)));
    // What stands there stays where it is, but for spaces.
    equal(plain(indented(text)).startsWith(plain(shown)), true);
  }
});

test('what is no JSON is shown', () => {
  equal(indented('no "JSON'), 'no"JSON');
  equal(indented(']]}'), ']\n]\n}');
  equal(indented(''), '');
  equal(
      indented(
          '"' +
          'x\\n'.repeat(1e6))
          .length,
      3e6 + 1);
  equal(indented('['.repeat(1e4)).length < 1e6, true);
});

function called() {
  const {conversation, first} = sample();
  first.reasoning = 'Hm';
  first.calls = ['f', 'g'].map(
      (name, index) => ({id: `c${index}`, name, arguments: `{"x": ${index}}`, result: null}));
  return {conversation, first};
}

test('calls and results are in the request, and the thoughts before them', () => {
  const {conversation, first} = called();
  const [, , without] = tree.requestMessages(conversation, first.id);
  equal(without, {role: 'assistant', content: 'one'});
  first.calls[1].result = '';
  const sent = tree.requestMessages(conversation, first.id).slice(2);
  equal(sent, [
    {
      role: 'assistant',
      content: 'one',
      reasoning_content: 'Hm',
      tool_calls: [{id: 'c1', type: 'function', function: {name: 'g', arguments: '{"x": 1}'}}]
    },
    {role: 'tool', tool_call_id: 'c1', content: ''}
  ]);
});

test('a file brings calls back, and only texts of them', () => {
  const {conversation, first} = called();
  first.calls[0].result = 'r';
  first.truncated = true;
  const back = Object.values(imported(exported([conversation]))[0].nodes)
                   .find(({content}) => content === 'one');
  equal([back.calls, back.truncated], [first.calls, true]);
  const [made] = imported(file({
    root: {children: ['a']},
    a: {
      role: 'assistant',
      truncated: 'yes',
      calls: [null, {id: 'c', name: ['<img>'], arguments: {}, result: 5, more: 1}]
    }
  }));
  const [node] = tree.path(made);
  equal([node.truncated, node.calls.length, node.calls[0].id.length], [false, 2, 24]);
  equal(node.calls[1], {id: 'c', name: '', arguments: '', result: null});
  equal(imported(file({root: {children: ['a']}, a: {role: 'user', calls: [{}]}})).length, 1);
});

test('a version of an answer shares nothing with it', () => {
  const {conversation, first} = called();
  const copy = tree.copyAnswer(conversation, first);
  copy.calls[0].result = 'r';
  equal([first.calls[0].result, copy.content, copy.reasoning], [null, 'one', 'Hm']);
  equal(
      tree.branches(conversation, copy.id),
      {ids: conversation.nodes[first.parent].children, index: 2});
});

test('what a browser kept is made whole again', () => {
  const {conversation, first, second} = sample();
  delete first.calls;
  second.state = 'running';
  tree.revive(conversation);
  equal([first.calls, second.state], [[], 'stopped']);
});

test('a search finds calls', () => {
  const {conversation, first} = called();
  first.calls[0].result = 'Sunshine';
  equal(['sunsh', 'rain'].map((words) => tree.matches(conversation, words)), [true, false]);
});

test('results are asked for when calls are whole', () => {
  const {first} = called();
  equal(areWhole(first), true);
  equal(areWhole({...first, state: 'stopped'}), false);
  equal(areWhole({...first, calls: [...first.calls, {arguments: '{"x": '}]}), false);
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

const kTool = {
  type: 'function',
  function: {name: 'f'}
};

test('tools become fields', () => {
  const tools = JSON.stringify([kTool]);
  equal(toolFields({}, false), {});
  equal(toolFields({tools: '[]', tool_choice: 'required'}, false), {});
  equal(toolFields({tools: 'x', tool_choice: 'required'}, false), {});
  equal(toolFields({tools, tool_choice: 'junk'}, false), {tools: [kTool]});
  const required = {tools, tool_choice: 'required'};
  equal(toolFields(required, false), {tools: [kTool], tool_choice: 'required'});
  equal(toolFields(required, true), {tools: [kTool]});
  equal(toolFields({tools, tool_choice: 'none'}, true), {tools: [kTool], tool_choice: 'none'});
});

test('tools that are wrong are named', () => {
  equal(toolsProblem(' '), '');
  equal(toolsProblem(JSON.stringify([kTool])), '');
  equal(toolsProblem('[{').startsWith('Tools are JSON: '), true);
  equal(toolsProblem('{}').startsWith('Tools are a JSON list'), true);
  for (const tool of [null, 5, {}, {type: 'function'}, {...kTool, function: {name: 5}}]) {
    equal(toolsProblem(JSON.stringify([kTool, tool])).startsWith('Tool 2 is not'), true);
  }
});

test('a budget is for thoughts that are not off', () => {
  equal(requestFields({thinking_budget: '-1'}), {thinking_budget: -1});
  equal(
      requestFields({thinking_budget: '64', thinking: 'off'}),
      {chat_template_kwargs: {enable_thinking: false}});
});

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
    calls: [],
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
  equal(
      thinkingLabel({...node, truncated: true}),
      'Thought for 12 s · 340 tokens · cut at the budget');
});
