// One answer being written: sends the request, fills the message as the chunks come, keeps the
// times.
//
// stats  {firstMs, thinkingMs, writingMs, tokens, thinkingTokens, promptTokens, cachedTokens,
// exact,
//         finish}; until the server has counted, each chunk is taken for one token and exact is
//         false.

import {streamChat} from './api.js';
import {requestFields, toolFields} from './sampling.js';
import {newId, requestMessages} from './tree.js';

// An answer that has begun is continued: with vLLM's names, since OpenAI has none for it.
export function requestBody(conversation, node) {
  const messages = requestMessages(conversation, node.parent);
  const body = {
    model: conversation.model,
    messages,
    stream: true,
    stream_options: {include_usage: true},
    ...requestFields(conversation.settings),
    ...toolFields(conversation.settings, messages.at(-1)?.role === 'tool')
  };
  if (node.content) {
    messages.push({role: 'assistant', content: node.content});
    Object.assign(body, {continue_final_message: true, add_generation_prompt: false});
  }
  return body;
}

export class Answer {
  #abort = new AbortController();
  #started = 0;
  #before;  // the stats of the part that is continued
  #firstAt = null;
  #contentAt = null;

  constructor(conversation, node) {
    this.conversation = conversation;
    this.node = node;
    this.#before =
        node.content && node.stats ? node.stats : {writingMs: 0, tokens: 0, thinkingMs: 0};
  }

  stop() {
    this.#abort.abort();
  }

  // Ends with the message's state set; `changed` is called after each chunk.
  async run(key, changed) {
    const {node} = this;
    const body = requestBody(this.conversation, node);
    node.state = 'running';
    node.error = null;
    if (!node.content) Object.assign(node, {reasoning: '', truncated: false, calls: []});
    node.stats = {
      firstMs: null,
      thinkingTokens: 0,
      promptTokens: null,
      cachedTokens: null,
      finish: null,
      ...this.#before,
      exact: false
    };
    this.#started = performance.now();
    changed();
    try {
      for await (const chunk of streamChat(body, {key, signal: this.#abort.signal})) {
        this.#take(chunk);
        changed();
      }
      node.state = 'done';
    } catch (error) {
      node.state = error.name === 'AbortError' ? 'stopped' : 'failed';
      if (node.state === 'failed') {
        const {message, status = null, retryAfter = null} = error;
        node.error = {message, status, retryAfter};
      }
    }
  }

  #take(chunk) {
    const {node} = this;
    const choice = chunk.choices?.[0];
    const {reasoning_content: thought, content, tool_calls: calls = []} = choice?.delta ?? {};
    if (thought) node.reasoning += thought;
    if (content) node.content += content;
    for (const call of calls) this.#takeCall(call);
    if (choice?.delta?.reasoning_truncated) node.truncated = true;
    if (choice?.finish_reason) node.stats.finish = choice.finish_reason;
    if (thought || content || calls.length) this.#count(!thought);
    if (chunk.usage) this.#takeUsage(chunk.usage);
  }

  // A piece of a call; the first one of each brings its id and its name.
  #takeCall({index, id, function: {name = '', arguments: text = ''} = {}}) {
    const {calls} = this.node;
    if (!(index < calls.length))
      calls.push({id: id ?? newId(), name: '', arguments: '', result: null});
    const call = calls[index] ?? calls.at(-1);
    call.name += name;
    call.arguments += text;
  }

  #count(isContent) {
    const {stats} = this.node;
    const now = performance.now();
    this.#firstAt ??= now;
    if (isContent)
      this.#contentAt ??= now;
    else
      stats.thinkingTokens += 1;
    stats.firstMs ??= now - this.#started;
    stats.thinkingMs = this.#before.thinkingMs + (this.#contentAt ?? now) - this.#firstAt;
    stats.writingMs = this.#before.writingMs + now - this.#firstAt;
    stats.tokens += 1;
  }

  #takeUsage(usage) {
    const {stats} = this.node;
    stats.tokens = this.#before.tokens + usage.completion_tokens;
    stats.thinkingTokens =
        usage.completion_tokens_details?.reasoning_tokens ?? stats.thinkingTokens;
    stats.promptTokens = usage.prompt_tokens;
    stats.cachedTokens = usage.prompt_tokens_details?.cached_tokens ?? null;
    stats.exact = true;
  }
}
