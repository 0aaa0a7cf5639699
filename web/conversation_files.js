// Conversations as a JSON file, out of the browser and back.

import {checkedConversation} from './tree.js';

const kFormat = 'hachi-conversations';

export function exported(conversations) {
  return JSON.stringify({format: kFormat, version: 1, conversations}, null, 1);
}

// The conversations of a file's text, with new ids. Throws an Error that says what is wrong.
export function imported(text) {
  let data;
  try {
    data = JSON.parse(text);
  } catch {
    throw new Error('This file is not JSON.');
  }
  if (data?.format !== kFormat || !Array.isArray(data.conversations)) {
    throw new Error('This file does not hold conversations of Hachi.');
  }
  try {
    return data.conversations.map(checkedConversation);
  } catch (error) {
    throw new Error(`This file cannot be read: ${error.message}.`);
  }
}

export function download(name, text) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type: 'application/json'}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
