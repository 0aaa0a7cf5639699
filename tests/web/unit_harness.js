// The little that the tests of the modules need.

export const tests = [];
export const test = (name, run) => tests.push({name, run});

export function equal(got, wanted) {
  const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`got ${a}, wanted ${b}`);
}

export function throws(run, words) {
  try {
    run();
  } catch (error) {
    if (error.message.includes(words)) return;
    throw new Error(`said "${error.message}", not "${words}"`);
  }
  throw new Error(`did not say "${words}"`);
}
