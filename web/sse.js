// Server-sent events, as far as a stream of answers needs them: the data of each event.
// Source: HTML Living Standard, section 9.2.6.

export class SseParser {
  #rest = '';
  #data = [];

  // Takes text as it arrives, cut anywhere; returns the data of the events that are now whole.
  push(text) {
    const events = [];
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    for (const line of lines) {
      if (line === '') {
        if (this.#data.length) events.push(this.#data.join('\n'));
        this.#data = [];
      } else if (line.startsWith('data:')) {
        this.#data.push(line.slice(line[5] === ' ' ? 6 : 5));
      }
    }
    return events;
  }
}
