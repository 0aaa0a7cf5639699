// The settings of a conversation: what they are called, their ranges, and the request's fields.
// An empty setting is left out of the request, so that the server's default holds.

export const kNumbers = [
  { key: 'temperature', label: 'Temperature', min: 0, max: 2, step: 0.05, help: '0 always takes the likeliest token' },
  { key: 'top_p', label: 'Top p', min: 0, max: 1, step: 0.01, help: 'Keeps the likeliest tokens up to this share' },
  { key: 'top_k', label: 'Top k', min: 0, step: 1, help: 'Keeps this many tokens; 0 keeps all' },
  { key: 'min_p', label: 'Min p', min: 0, max: 1, step: 0.01, help: 'Drops tokens below this share of the likeliest' },
  { key: 'max_completion_tokens', label: 'Most tokens', min: 1, step: 1, help: 'Thinking included' },
  { key: 'seed', label: 'Seed', min: 0, step: 1, help: 'The same seed gives the same answer' },
  { key: 'presence_penalty', label: 'Presence penalty', min: -2, max: 2, step: 0.1, help: 'Against any repeated token' },
  { key: 'frequency_penalty', label: 'Frequency penalty', min: -2, max: 2, step: 0.1, help: 'Grows with each repetition' },
  { key: 'repetition_penalty', label: 'Repetition penalty', min: 0.01, max: 10, step: 0.01, help: '1 is none' },
];

const kMostStops = 4;  // as many as OpenAI's API takes

// What is wrong with a number that was typed, or nothing.
export function numberProblem({ label, min, max = Infinity, step }, text) {
  if (text.trim() === '') return '';
  const value = Number(text);
  if (!Number.isFinite(value)) return `${label} is a number.`;
  if (step === 1 && !Number.isSafeInteger(value)) return `${label} is a whole number.`;
  if (value < min || value > max) {
    return max === Infinity ? `${label} is at least ${min}.` : `${label} goes from ${min} to ${max}.`;
  }
  return '';
}

export const stopsOf = (text) => text.split('\n').filter((line) => line !== '');

export const stopProblem = (text) =>
  (stopsOf(text).length > kMostStops ? `At most ${kMostStops} stop texts, one a line.` : '');

// The fields of a request from settings as they are kept: texts, as they were typed.
export function requestFields(settings) {
  const fields = {};
  for (const number of kNumbers) {
    const text = String(settings[number.key] ?? '');
    if (text.trim() !== '' && !numberProblem(number, text)) fields[number.key] = Number(text);
  }
  const stop = stopsOf(String(settings.stop ?? ''));
  if (stop.length) fields.stop = stop;
  if (settings.thinking === 'on' || settings.thinking === 'off') {
    fields.chat_template_kwargs = { enable_thinking: settings.thinking === 'on' };
  }
  return fields;
}
