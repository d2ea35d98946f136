// SPDX-License-Identifier: MIT
//
// Where the figures come from: the stream of the balancer, or questions now and then where it serves no more streams.

const kAskEvery = 2000;  // milliseconds
const past = new Past();
let latest = null;
let asking = null;

function show() {
  if (!latest) return;
  showAttention(latest, past);
  showPools(latest, past);
  showListeners(latest);
  showReload(latest);
  showPlugins(latest);
  showProcess(latest);
  put(byId('about'), 'Version ' + latest.version + ', ' + latest.state + ', up for ' + durationText(latest.uptime_seconds) + ', ' + location.host);
}

function take(status) {
  latest = status;
  past.note(status);
  show();
}

function say(state, text) {
  mark(byId('live'), 'live ' + state);
  put(byId('live'), text);
}

async function askOnce() {
  const after = newestEvent();
  const [status, fresh] = await Promise.all([
    fetch('/api/v1/status', {cache: 'no-store'}), fetch('/api/v1/events' + (after === null ? '' : '?after=' + after), {cache: 'no-store'})]);
  take(await status.json());
  noteEvents((await fresh.json()).events);
}

function askNowAndThen() {
  asking = setTimeout(async () => {
    try {
      await askOnce();
      say('on', 'every 2 s');
    } catch {
      say('off', 'no answer');
    }
    askNowAndThen();
  }, kAskEvery);
}

function watch() {
  const after = newestEvent();
  const stream = new EventSource('/api/v1/stream' + (after === null ? '' : '?after=' + after));
  stream.onopen = () => say('on', 'live');
  stream.addEventListener('status', (event) => { say('on', 'live'); take(JSON.parse(event.data)); });
  stream.addEventListener('event', (event) => noteEvents([JSON.parse(event.data)]));
  stream.onerror = () => {
    say('off', 'no answer');
    if (stream.readyState !== EventSource.CLOSED || asking !== null) return;
    askNowAndThen();  // it was refused
  };
}

async function start() {
  startControls();
  byId('filter').oninput = show;
  byId('kinds').onchange = showTimeline;
  try {
    await askOnce();
  } catch {
    say('off', 'no answer');
  }
  watch();
}

start();
