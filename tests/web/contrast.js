// The body of a function: the visible texts of the page whose contrast with what is behind them is
// below 4.5, or 3 where they are large (WCAG 2.1, 1.4.3).
const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});

function rgba(color) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
}

function linear(value) {
  const share = value / 255;
  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
}

function luminance(color) {
  const [r, g, b] = rgba(color).map(linear);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function behind(node) {
  for (; node; node = node.parentElement) {
    const color = getComputedStyle(node).backgroundColor;
    if (rgba(color)[3] === 255) return color;
  }
  return 'white';
}

const hasText = (node) => [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
const isSeen = (node) => node.checkVisibility() && node.getBoundingClientRect().width > 0;

const problems = [];
for (const node of document.querySelectorAll('body *')) {
  if (!hasText(node) || !isSeen(node) || node.disabled || node.closest('.katex-mathml')) continue;
  const {color, fontSize} = getComputedStyle(node);
  const [light, dark] = [luminance(color), luminance(behind(node))].sort((a, b) => b - a);
  const ratio = (light + 0.05) / (dark + 0.05);
  if (ratio < (parseFloat(fontSize) >= 24 ? 3 : 4.5)) {
    problems.push(`${ratio.toFixed(2)} ${node.textContent.slice(0, 30)}`);
  }
}
return problems;
