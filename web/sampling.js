// The settings of a conversation: what they are called, their ranges, and the request's fields.
// An empty setting is left out of the request, so that the server's default holds.

const decimal = (key, label, min, max, help) => ({key, label, min, max, help, isWhole: false});
const whole = (key, label, min, help) => ({key, label, min, max: Infinity, help, isWhole: true});

export const kNumbers = [
  decimal('temperature', 'Temperature', 0, 2, '0 always takes the likeliest token'),
  decimal('top_p', 'Top p', 0, 1, 'Keeps the likeliest tokens up to this share'),
  whole('top_k', 'Top k', 0, 'Keeps this many tokens; 0 keeps all'),
  decimal('min_p', 'Min p', 0, 1, 'Drops tokens below this share of the likeliest'),
  whole('max_completion_tokens', 'Max tokens', 1, 'Thinking included'),
  whole('seed', 'Seed', 0, 'The same seed gives the same answer'),
  whole('thinking_budget', 'Thinking budget', -1, 'Tokens of thoughts; −1 is no limit'),
  decimal('presence_penalty', 'Presence penalty', -2, 2, 'Against any repeated token'),
  decimal('frequency_penalty', 'Frequency penalty', -2, 2, 'Grows with each repetition'),
  decimal('repetition_penalty', 'Repetition penalty', 0.01, 10, '1 is none'),
];

const kMostStops = 4;  // as many as OpenAI's API takes

// What is wrong with a number that was typed, or nothing.
export function numberProblem({label, min, max, isWhole}, text) {
  if (text.trim() === '') return '';
  const value = Number(text);
  if (!Number.isFinite(value)) return `${label} is a number.`;
  if (isWhole && !Number.isSafeInteger(value)) return `${label} is a whole number.`;
  if (value < min || value > max) {
    return max === Infinity ? `${label} is at least ${min}.` :
                              `${label} goes from ${min} to ${max}.`;
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
    fields.chat_template_kwargs = {enable_thinking: settings.thinking === 'on'};
    if (settings.thinking === 'off') delete fields.thinking_budget;  // they contradict each other
  }
  return fields;
}

// What is wrong with tools that were typed, or nothing. The server looks at what is in them.
export function toolsProblem(text) {
  if (text.trim() === '') return '';
  let tools;
  try {
    tools = JSON.parse(text);
  } catch (error) {
    return `Tools are JSON: ${error.message}.`;
  }
  if (!Array.isArray(tools)) return 'Tools are a JSON list: [{"type": "function", …}, …].';
  const wrong = tools.findIndex(
      (tool) => tool?.type !== 'function' || typeof tool.function?.name !== 'string');
  return wrong < 0 ? '' : `Tool ${wrong + 1} is not {"type": "function", "function": {"name": …}}.`;
}

// The request's fields for tools. That a call has to come holds until results have come: else no
// answer would ever follow them.
export function toolFields(settings, hasResults) {
  const text = String(settings.tools ?? '');
  if (text.trim() === '' || toolsProblem(text)) return {};
  const tools = JSON.parse(text);
  if (!tools.length) return {};
  const choice = settings.tool_choice === 'required' && hasResults ? '' : settings.tool_choice;
  return ['required', 'none'].includes(choice) ? {tools, tool_choice: choice} : {tools};
}
