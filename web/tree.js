// A conversation is a tree of messages: an edit or a new answer adds a sibling, nothing is lost.
// It is plain data, kept and exported as it is; `chosen` marks the child that is shown.
//
//   conversation  {id, title, created, updated, model, settings, nodes: {id: node}}
//   node          {id, parent, role, content, reasoning, truncated, calls, children, chosen, state,
//                  stats, error}
//   call          {id, name, arguments, result}: arguments are the model's text, result is null
//                 until the reader has sent one
//
// The node "root" is no message: it holds the first ones.

export const kRoot = 'root';
const kTitleLength = 60;
const kStates = ['done', 'running', 'stopped', 'failed'];

export const newId = () => [...crypto.getRandomValues(new Uint8Array(12))]
                               .map((byte) => byte.toString(16).padStart(2, '0'))
                               .join('');

function newNode(id, parent, role) {
  return {
    id,
    parent,
    role,
    content: '',
    reasoning: '',
    truncated: false,  // the thoughts, by their budget
    calls: [],
    children: [],
    chosen: null,
    state: 'done',
    stats: null,
    error: null
  };
}

export function newConversation(settings = {}, model = '') {
  const now = Date.now();
  return {
    id: newId(),
    title: '',
    created: now,
    updated: now,
    model,
    settings: {...settings},
    nodes: {[kRoot]: newNode(kRoot, null, 'root')}
  };
}

// Makes a conversation that a browser kept whole again: what was being written when the page was
// closed is as good as stopped, and what was kept before there were calls has none.
export function revive(conversation) {
  for (const node of Object.values(conversation.nodes)) {
    if (node.state === 'running') node.state = 'stopped';
    node.calls ??= [];
  }
}

// Adds a message below `parent` and chooses it.
export function addMessage(conversation, parent, role, content = '') {
  const node = newNode(newId(), parent, role);
  node.content = content;
  conversation.nodes[node.id] = node;
  conversation.nodes[parent].children.push(node.id);
  conversation.nodes[parent].chosen = node.id;
  if (!conversation.title && role === 'user') conversation.title = titleFrom(content);
  return node;
}

// Adds a version of an answer that has the same text and calls, and chooses it.
export function copyAnswer(conversation, {parent, content, ...rest}) {
  const {reasoning, truncated, calls, stats} = structuredClone(rest);
  return Object.assign(
      addMessage(conversation, parent, 'assistant', content), {reasoning, truncated, calls, stats});
}

// The messages that are shown, from the first to the last.
export function path(conversation) {
  const nodes = [];
  for (let id = conversation.nodes[kRoot].chosen; id; id = conversation.nodes[id].chosen) {
    nodes.push(conversation.nodes[id]);
  }
  return nodes;
}

// The messages from the first to `id`, whatever is chosen.
export function pathTo(conversation, id) {
  const nodes = [];
  for (; id !== kRoot; id = conversation.nodes[id].parent) nodes.unshift(conversation.nodes[id]);
  return nodes;
}

// Where a message stands among its siblings: {ids, index}.
export function branches(conversation, id) {
  const ids = conversation.nodes[conversation.nodes[id].parent].children;
  return {ids, index: ids.indexOf(id)};
}

// Chooses the sibling `step` places on, if there is one.
export function stepBranch(conversation, id, step) {
  const {ids, index} = branches(conversation, id);
  const target = ids[index + step];
  if (target) conversation.nodes[conversation.nodes[id].parent].chosen = target;
  return target ?? id;
}

// What the server is sent: the system prompt, then the messages up to and with `id`. Thoughts stay
// here, but for those before a call: the models' templates drop those of earlier turns. An answer
// that failed before its first word is sent empty, for templates want turns. A call that was left
// without a result is not sent: servers want one for each.
export function requestMessages(conversation, id) {
  const system = conversation.settings.system?.trim();
  const messages = system ? [{role: 'system', content: system}] : [];
  for (const {role, content, reasoning, calls} of pathTo(conversation, id)) {
    const message = {role, content};
    messages.push(message);
    const answered = calls.filter(({result}) => result !== null);
    if (!answered.length) continue;
    if (reasoning) message.reasoning_content = reasoning;
    message.tool_calls = answered.map(
        ({id, name, arguments: text}) =>
            ({id, type: 'function', function: {name, arguments: text}}));
    messages.push(
        ...answered.map(({id, result}) => ({role: 'tool', tool_call_id: id, content: result})));
  }
  return messages;
}

export function titleFrom(text) {
  const line = text.trim().split('\n', 1)[0].trim();
  return line.length > kTitleLength ? line.slice(0, kTitleLength - 1).trimEnd() + '…' : line;
}

// Whether a conversation's title, one of its messages or a call has the words, in any case.
export function matches(conversation, words) {
  const wanted = words.trim().toLowerCase();
  const has = (text) => text.toLowerCase().includes(wanted);
  return has(conversation.title) || Object.values(conversation.nodes).some(({content, calls}) => {
    return has(content) || calls.some((call) => has(call.name) || has(call.result ?? ''));
  });
}

const text = (value) => (typeof value === 'string' ? value : '');
const plain = (value) =>
    (value && typeof value === 'object' && !Array.isArray(value) ? value : null);

const checkedCalls = (calls) =>
    (Array.isArray(calls) ? calls : []).map((call) => ({
                                              id: text(call?.id) || newId(),
                                              name: text(call?.name),
                                              arguments: text(call?.arguments),
                                              result: typeof call?.result === 'string' ?
                                                  call.result :
                                                  null
                                            }));

// A conversation from a file that anyone may have written: the fields that are known, each of its
// type, and only nodes that hang on the root. Throws an Error that says what is wrong.
export function checkedConversation(data) {
  if (typeof data?.nodes !== 'object' || typeof data.nodes?.[kRoot] !== 'object') {
    throw new Error('a conversation has no messages');
  }
  const conversation = newConversation(plain(data.settings) ?? {}, text(data.model));
  conversation.title = text(data.title);
  if (Number.isFinite(data.created)) conversation.created = data.created;
  if (Number.isFinite(data.updated)) conversation.updated = data.updated;
  const source = new Map(Object.entries(data.nodes));
  const waiting = [[kRoot, kRoot]];  // [id in the file, id here]
  const seen = new Set();
  while (waiting.length) {
    const [oldId, id] = waiting.pop();
    const old = source.get(oldId);
    if (seen.has(oldId)) throw new Error('a message hangs on two others');
    seen.add(oldId);
    for (const childId of Array.isArray(old.children) ? old.children : []) {
      const child = source.get(childId);
      if (child?.role !== 'user' && child?.role !== 'assistant')
        throw new Error('a message has no role');
      const node = newNode(newId(), id, child.role);
      node.content = text(child.content);
      node.reasoning = text(child.reasoning);
      node.truncated = child.truncated === true;
      if (child.role === 'assistant') node.calls = checkedCalls(child.calls);
      node.state =
          kStates.includes(child.state) && child.state !== 'running' ? child.state : 'stopped';
      node.stats = plain(child.stats);
      node.error = plain(child.error);
      conversation.nodes[node.id] = node;
      conversation.nodes[id].children.push(node.id);
      if (old.chosen === childId) conversation.nodes[id].chosen = node.id;
      waiting.push([childId, node.id]);
    }
    conversation.nodes[id].chosen ??= conversation.nodes[id].children[0] ?? null;
  }
  return conversation;
}
