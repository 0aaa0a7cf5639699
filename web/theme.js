// Runs before the page is drawn, so that it does not flash in the wrong colours; hence no module.
// Without a choice of the reader's the system's holds.
'use strict';
try {
  const theme = JSON.parse(localStorage.getItem('hachi.theme'));
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // The system's choice holds.
}
