// Conversations in the browser's database. Other tabs are told what has changed.

const kName = 'hachi';
const kStore = 'conversations';

let database = null;
const channel = new BroadcastChannel(kName);

const settled = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

const store = (mode) => database.transaction(kStore, mode).objectStore(kStore);

// Opens the database and returns all conversations. Throws where the browser keeps nothing for
// pages; then saving and removing do nothing.
export async function openStorage() {
  const request = indexedDB.open(kName, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(kStore, {keyPath: 'id'});
  database = await settled(request);
  return settled(store('readonly').getAll());
}

export async function save(conversation) {
  if (!database) return;
  await settled(store('readwrite').put(conversation));
  channel.postMessage(conversation.id);
}

export async function remove(id) {
  if (!database) return;
  await settled(store('readwrite').delete(id));
  channel.postMessage(id);
}

// Calls `handle(id, conversation)` when another tab has saved a conversation, without one when it
// has removed it.
export function onForeignChange(handle) {
  channel.onmessage = async ({data: id}) => {
    if (database) handle(id, await settled(store('readonly').get(id)));
  };
}
