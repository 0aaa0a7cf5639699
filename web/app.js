// The page: wires the conversations, the views and the server to each other.

import {Answer} from './answer.js';
import {listModels} from './api.js';
import {ChatView} from './chat_view.js';
import {download, exported, imported} from './conversation_files.js';
import {askKey, notice, showShortcuts} from './dialogs.js';
import {announce, byId} from './dom.js';
import {spoken} from './message_view.js';
import {preference, setPreference} from './preferences.js';
import {editSettings} from './settings_view.js';
import {Sidebar} from './sidebar.js';
import {onForeignChange, openStorage, remove, save} from './storage.js';
import {addMessage, branches, copyAnswer, kRoot, newConversation, path, revive, stepBranch} from './tree.js';

const kSaveEvery = 2000;  // ms between saves while an answer is written
const kNarrow = matchMedia('(max-width: 52rem)');

const conversations = new Map();
const answers = new Map();  // conversation id → the Answer being written
let current = null;         // a new one is in `conversations` only once it has a message

const input = byId('message');
const models = byId('model');
const sidebar = new Sidebar({
  rename(conversation, title) {
    conversation.title = title;
    keep(conversation);
    showChrome();
  },
  remove: removeConversation,
});
const chat = new ChatView({
  list: byId('messages'),
  scroller: byId('scroller'),
  toEnd: byId('to-end'),
  actions: {
    edit,
    regenerate,
    proceed,
    sendResult,
    editResult,
    stepBranch: chooseBranch,
    enterKey: () => enterKey('')
  },
});

// --- Conversations

function open(conversation) {
  current = conversation;
  const id = conversations.has(conversation.id) ? conversation.id : '';
  if (location.hash.slice(1) !== id) history.pushState(null, '', id ? `#${id}` : location.pathname);
  chooseModel(conversation.model);
  chat.show(conversation);
  showChrome();
  if (kNarrow.matches) toggleSidebar(false);
}

function openNew() {
  open(newConversation(preference('settings', {}), preference('model')));
  if (!kNarrow.matches) input.focus();  // a phone would cover half the page with its keyboard
}

function openFromAddress() {
  const conversation = conversations.get(location.hash.slice(1));
  if (conversation)
    open(conversation);
  else
    openNew();
}

function keep(conversation) {
  conversations.set(conversation.id, conversation);
  save(conversation)
      .catch((error) => notice(`The conversation could not be kept: ${error.message}`));
}

function removeConversation(conversation) {
  answers.get(conversation.id)?.stop();
  conversations.delete(conversation.id);
  remove(conversation.id)
      .catch((error) => notice(`The conversation could not be deleted: ${error.message}`));
  if (current === conversation) openNew();
  showChrome();
}

// All that depends on which conversation is shown and on whether it is being answered.
function showChrome() {
  const running = answers.has(current.id);
  const title = current.title || 'New chat';
  byId('title').textContent = title;
  document.title = `${title} – Hachi`;
  byId('welcome').hidden = path(current).length > 0;
  byId('send').hidden = running;
  byId('stop').hidden = !running;
  byId('export').disabled = path(current).length === 0;
  sidebar.show(conversations.values(), current.id, new Set(answers.keys()));
}

// --- Messages

function send() {
  const text = input.value;
  if (!text.trim() || answers.has(current.id)) return;
  input.value = '';
  input.dispatchEvent(new Event('input'));
  const last = path(current).at(-1);
  answerTo(addMessage(current, last?.id ?? kRoot, 'user', text));
}

// Whether the edit was taken.
function edit(node, text) {
  if (isBusy()) return false;
  answerTo(addMessage(current, node.parent, 'user', text));
  input.focus();
  return true;
}

function isBusy() {
  if (answers.has(current.id)) notice('Stop the answer first.');
  return answers.has(current.id);
}

function regenerate(node) {
  if (isBusy()) return;
  answerTo(current.nodes[node.parent]);
}

// The conversation goes on once each call of the answer has its result.
function sendResult(node, index, text) {
  if (isBusy()) return;
  node.calls[index].result = text;
  keep(current);
  chat.changed(node);
  if (node.calls.some(({result}) => result === null))
    return chat.viewOf(node.id).element.querySelector('.result textarea')?.focus();
  answerTo(node);
  input.focus();
}

// Whether the edit was taken, as a new version of the answer.
function editResult(node, index, text) {
  if (isBusy()) return false;
  const copy = copyAnswer(current, node);
  chat.show(current);
  sendResult(copy, index, text);
  return true;
}

function answerTo(question) {
  current.updated = Date.now();
  proceed(addMessage(current, question.id, 'assistant'));
  chat.scrollToEnd();
}

// Writes the answer `node`, on from what it has.
async function proceed(node) {
  const conversation = current;
  if (answers.has(conversation.id)) return;
  conversation.model = models.value || conversation.model;
  const answer = new Answer(conversation, node);
  answers.set(conversation.id, answer);
  keep(conversation);
  const writing = answer.run(preference('key'), whenChanged(conversation, node));
  open(conversation);
  announce('The answer is being written.');
  await writing;
  answers.delete(conversation.id);
  if (conversations.has(conversation.id)) keep(conversation);
  chat.changed(node);
  showChrome();
  if (conversation === current) announce(spoken(node));
  if (node.error?.status !== 401 || !await enterKey(node.error.message)) return;
  if (conversation === current) proceed(node);
}

// What to do with each chunk of an answer: show it, and keep it now and then.
function whenChanged(conversation, node) {
  let saved = performance.now();
  return () => {
    chat.changed(node);
    if (performance.now() - saved < kSaveEvery || !conversations.has(conversation.id)) return;
    saved = performance.now();
    keep(conversation);
  };
}

function chooseBranch(node, step) {
  if (isBusy()) return;
  const id = stepBranch(current, node.id, step);
  keep(current);
  chat.show(current);
  chat.viewOf(id).focusBranch(step);
  const {ids, index} = branches(current, id);
  announce(`Version ${index + 1} of ${ids.length}`);
}

// --- The server

async function enterKey(reason) {
  const key = await askKey(preference('key'), reason || 'The server asks for an API key.');
  if (key === null) return false;
  setPreference('key', key);
  await loadModels();
  return true;
}

async function loadModels() {
  let failure = '';
  try {
    const names = await listModels(preference('key'));
    models.replaceChildren(...names.map((name) => new Option(name, name)));
    chooseModel(current?.model || preference('model'));
  } catch (error) {
    failure = error.message;
    if (error.status === 401) setTimeout(() => enterKey(error.message));
  }
  byId('server-problem').hidden = !failure;
  byId('server-problem-text').textContent = failure;
}

function chooseModel(name) {
  const known = [...models.options].some((option) => option.value === name);
  if (known)
    models.value = name;
  else if (models.options.length)
    models.selectedIndex = 0;
}

// --- Controls

function toggleSidebar(shown) {
  document.body.classList.toggle('sidebar-shown', shown);
  byId('menu').ariaExpanded = String(shown);
  byId('sidebar').inert = !shown;
  byId('main').inert = shown && kNarrow.matches;
  if (!kNarrow.matches) setPreference('sidebar', shown);
}

const sidebarShown = () => document.body.classList.contains('sidebar-shown');

function switchTheme() {
  const root = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  root.dataset.theme = (root.dataset.theme ?? system) === 'dark' ? 'light' : 'dark';
  setPreference('theme', root.dataset.theme);
}

async function importFile(file) {
  try {
    const found = imported(await file.text());
    for (const conversation of found) keep(conversation);
    notice(`${found.length} ${found.length === 1 ? 'conversation' : 'conversations'} imported.`);
    showChrome();
  } catch (error) {
    notice(error.message);
  }
}

function stop() {
  answers.get(current.id)?.stop();
  input.focus();
}

function onKey(event) {
  const command = event.ctrlKey || event.metaKey;
  const inDialog = document.querySelector('dialog[open]');
  const isTyping = event.target.closest?.('input, textarea, select');
  if (inDialog || event.isComposing) return;
  if (event.key === 'Escape') {
    if (kNarrow.matches && sidebarShown())
      toggleSidebar(false);
    else
      stop();
  } else if (command && event.shiftKey && event.code === 'KeyO')
    openNew();
  else if (command && event.code === 'KeyK') {
    toggleSidebar(true);
    byId('search').focus();
  } else if (command && event.code === 'Comma')
    byId('settings').click();
  else if ((command && event.code === 'Slash') || (event.key === '?' && !isTyping))
    showShortcuts();
  else
    return;
  event.preventDefault();
}

function onInputKey(event) {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  } else if (event.key === 'ArrowUp' && !input.value && !answers.has(current.id)) {
    const last = path(current).findLast((node) => node.role === 'user');
    if (last) {
      event.preventDefault();
      chat.viewOf(last.id).edit();
    }
  }
}

function wire() {
  byId('composer').onsubmit = (event) => {
    event.preventDefault();
    send();
  };
  input.onkeydown = onInputKey;
  input.oninput = () => {
    input.style.height = '';
    input.style.height = `${input.scrollHeight + 2}px`;
  };
  models.onchange = () => {
    setPreference('model', models.value);
    current.model = models.value;
  };
  byId('skip').onclick = (event) => {
    event.preventDefault();
    input.focus();
  };
  byId('stop').onclick = stop;
  byId('new').onclick = openNew;
  byId('theme').onclick = switchTheme;
  byId('shortcuts').onclick = showShortcuts;
  byId('enter-key').onclick = () =>
      enterKey('The browser keeps it and sends it to this server only.');
  byId('server-retry').onclick = loadModels;
  byId('menu').onclick = () => {
    toggleSidebar(!sidebarShown());
    if (sidebarShown()) byId('new').focus();
  };
  byId('veil').onclick = () => toggleSidebar(false);
  byId('close-sidebar').onclick = () => {
    toggleSidebar(false);
    byId('menu').focus();
  };
  byId('settings').onclick = () => editSettings(current.settings, (settings, alsoForNew) => {
    current.settings = settings;
    if (alsoForNew) setPreference('settings', settings);
    if (conversations.has(current.id)) keep(current);
  });
  byId('export').onclick = () => download('conversation.json', exported([current]));
  byId('export-all').onclick = () =>
      download('conversations.json', exported([...conversations.values()]));
  byId('import').onclick = () => byId('import-file').click();
  byId('import-file').onchange = ({target}) => {
    if (target.files[0]) importFile(target.files[0]);
    target.value = '';
  };
  document.addEventListener('keydown', onKey);
  addEventListener('popstate', openFromAddress);
  // The database does not finish while the page goes; what it has not got waits here for the next
  // start.
  addEventListener('pagehide', () => {
    const unsaved = [...answers.values()].map(({conversation}) => conversation);
    if (unsaved.length) setPreference('unsaved', [...preference('unsaved', []), ...unsaved]);
  });
  addEventListener('pageshow', ({persisted}) => {
    if (persisted) setPreference('unsaved', []);  // the page did not go after all
  });
  kNarrow.onchange = () => toggleSidebar(!kNarrow.matches && preference('sidebar', true));
  onForeignChange((id, conversation) => {
    if (answers.has(id)) return;
    if (conversation)
      conversations.set(id, conversation);
    else
      conversations.delete(id);
    if (id === current.id)
      open(conversation ?? current);
    else
      showChrome();
  });
}

async function loadConversations() {
  let kept = [];
  try {
    kept = await openStorage();
  } catch (error) {
    notice(`The browser keeps no conversations for this page (${error.message}).`);
  }
  const unsaved = preference('unsaved', []);
  for (const conversation of [...kept, ...unsaved]) {
    revive(conversation);
    conversations.set(conversation.id, conversation);
  }
  for (const {id} of unsaved) keep(conversations.get(id));
  setPreference('unsaved', []);
}

async function start() {
  wire();
  toggleSidebar(!kNarrow.matches && preference('sidebar', true));
  await loadConversations();
  openFromAddress();
  await loadModels();
}

start();
