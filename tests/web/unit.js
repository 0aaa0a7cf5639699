// Runs the tests of the page's modules, in the browser. `window.results` becomes a list of
// {name, problem}; safety_tests.py reads it.

import '/tests/unit_data.js';
import '/tests/unit_text.js';

import {tests} from '/tests/unit_harness.js';

const results = [];
for (const {name, run} of tests) {
  let problem = '';
  try {
    run();
  } catch (error) {
    problem = String(error.message ?? error);
  }
  results.push({name, problem});
}
window.results = results;
