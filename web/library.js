// The libraries that not every conversation needs are fetched when the first formula or code comes.

const loading = new Map();

function script(path) {
  if (!loading.has(path)) {
    loading.set(path, new Promise((resolve, reject) => {
                  const element = document.createElement('script');
                  element.src = new URL(path, import.meta.url);
                  element.onload = resolve;
                  element.onerror = () => {
                    loading.delete(path);
                    reject(new Error(`${path} could not be loaded`));
                  };
                  document.head.append(element);
                }));
  }
  return loading.get(path);
}

export async function katex() {
  if (!document.getElementById('katex-style')) {
    const link = document.createElement('link');
    Object.assign(link, {id: 'katex-style', rel: 'stylesheet'});
    link.href = new URL('lib/katex/katex.min.css', import.meta.url);
    document.head.append(link);
  }
  await script('lib/katex/katex.min.js');
  return window.katex;
}

export async function highlighter() {
  await script('lib/highlight.min.js');
  return window.hljs;
}
