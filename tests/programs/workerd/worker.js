// Answers by itself: routing, a little JSON and text, as a worker in front of a service does.
const PAGE = '<p>worker</p>\n'.repeat(64);

function route(pathname) {
  let score = 0;
  for (let i = 0; i < pathname.length; i++) score = (score * 31 + pathname.charCodeAt(i)) | 0;
  return score;
}

function render(request) {
  const url = new URL(request.url);
  const headers = Object.fromEntries(request.headers);
  return JSON.stringify({ route: route(url.pathname), headers }) + PAGE;
}

export default {
  async fetch(request) {
    return new Response(render(request), { headers: { 'content-type': 'text/html' } });
  },
};
