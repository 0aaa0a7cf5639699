// The client of the OpenAI-compatible API: the models, and an answer as it is written.

import {SseParser} from './sse.js';

// What went wrong, in words for the reader. `status` is 0 where no answer came at all.
export class ApiError extends Error {
  constructor(message, {status = 0, retryAfter = null} = {}) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;  // seconds, where the server named them
  }
}

const kGone = 'The server does not answer. Is hachi serve still running?';
const kBroken = 'The connection broke off before the answer was complete.';

// Relative to the page, so that it works below a path of a reverse proxy too.
const address = (path) => new URL(path, document.baseURI);

async function call(path, key, options) {
  const headers = {...options.headers};
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(address(path), {...options, headers});
  } catch (error) {
    throw error.name === 'AbortError' ? error : new ApiError(kGone);
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

async function errorOf(response) {
  const {status} = response;
  let said = '';
  try {
    said = (await response.json()).error?.message ?? '';
  } catch {
    // A proxy's page of HTML says nothing that the status does not.
  }
  const seconds = Number.parseInt(response.headers.get('Retry-After'), 10);
  const retryAfter = Number.isFinite(seconds) ? seconds : null;
  return new ApiError(words(status, said, retryAfter), {status, retryAfter});
}

function words(status, said, retryAfter) {
  switch (status) {
    case 401:
      return 'The server needs an API key.' + (said ? ` ${said}` : '');
    case 429:
      return 'The server is busy.' +
          (retryAfter === null ? ' Try again soon.' : ` Try again in ${retryAfter} s.`);
    case 502:
    case 503:
    case 504:
      return said || 'The server is not ready yet. Try again soon.';
    default:
      return said || `The server answered with the status ${status}.`;
  }
}

export async function listModels(key) {
  const {data} = await (await call('v1/models', key, {})).json();
  return data.map((model) => model.id);
}

// Yields the chunks of an answer as the server sends them. `signal` ends it with an AbortError.
export async function* streamChat(body, {key, signal}) {
  const response = await call('v1/chat/completions', key, {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify(body),
    signal
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new SseParser();
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      throw error.name === 'AbortError' ? error : new ApiError(kBroken);
    }
    if (part.done) throw new ApiError(kBroken);
    for (const data of parser.push(part.value)) {
      if (data === '[DONE]') return;
      const chunk = parsed(data);
      if (chunk.error) throw new ApiError(chunk.error.message ?? kBroken, {status: 500});
      yield chunk;
    }
  }
}

function parsed(data) {
  try {
    return JSON.parse(data);
  } catch {
    throw new ApiError('The server sent something that is not JSON.');
  }
}
