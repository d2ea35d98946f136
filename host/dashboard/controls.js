// SPDX-License-Identifier: MIT
//
// What an operator changes from here: a backend, a plugin that is released, and the configuration that is read again.

const kTokenName = 'lemonade-token';

function ask(method, path) {
  const token = sessionStorage.getItem(kTokenName);
  return fetch(path, {method, headers: token ? {Authorization: 'Bearer ' + token} : {}, cache: 'no-store'});
}

/** The text of an answer, and where a token is missing what to do. */
async function textOf(response) {
  const body = await response.text();
  let text = body;
  try {
    const json = JSON.parse(body);
    text = json.error || json.text || body;
    if (json.candidates) text += '\n' + json.candidates.join('\n');
    if (json.persist) text += '\n\nTo make it last, ' + json.persist.place + ':\n' + json.persist.line;
  } catch { /* an answer in lines */ }
  return response.status === 401 ? text + '\n\nGive a token with the button "Token" above.' : text.trim();
}

let changed = null;  // the backend that the dialog is about

function openChange(backend) {
  changed = backend;
  byId('change-title').textContent = 'Change ' + backend.pool + '/' + backend.name;
  byId('change-now').textContent = 'Now ' + backend.state + ', weight ' + backend.weight + ', ' +
    (backend.max_connections > 0 ? 'at most ' + backend.max_connections + ' connections' : 'no limit of connections') +
    ((backend.overrides || []).length > 0 ? '; changed: ' + backend.overrides.map(overrideText).join('; ') : '');
  byId('change-answer').textContent = '';
  byId('change-form').reset();
  adaptChange();
  byId('change').showModal();
}

/** Asks only for what the chosen action takes. */
function adaptChange() {
  const action = byId('change-form').elements.action.value;
  const hasValue = action === 'weight' || action === 'max_connections';
  byId('value-label').hidden = !hasValue;
  byId('for-label').hidden = action === 'enable';
  byId('persist').parentElement.hidden = action === 'enable';
  if (!hasValue || !changed) return;
  byId('value').value = changed[action];
  byId('value').max = action === 'weight' ? 65535 : 4294967295;
}

async function sendChange(event) {
  event.preventDefault();
  const form = byId('change-form').elements;
  const action = form.action.value;
  const query = new URLSearchParams();
  if (action === 'weight' || action === 'max_connections') query.set('value', form.value.value);
  if (action !== 'enable' && form.for.value.trim() !== '') query.set('for', form.for.value.trim());
  if (action !== 'enable' && form.persist.checked) query.set('persist', 'true');
  const path = ['api', 'v1', 'pools', changed.pool, 'backends', changed.address || changed.id, action].map(encodeURIComponent).join('/');
  const button = byId('change-submit');
  button.disabled = true;
  try {
    byId('change-answer').textContent = await textOf(await ask('POST', '/' + path + (query.size > 0 ? '?' + query : '')));
  } catch {
    byId('change-answer').textContent = 'The balancer does not answer.';
  }
  button.disabled = false;
}

/** Asks for what ends in a reload, and shows its lines. */
async function askAndShow(button, path, done, refused) {
  const [title, text] = [byId('answer-title'), byId('answer-text')];
  button.disabled = true;
  try {
    const response = await ask('POST', path);
    put(title, response.ok ? done : response.status === 422 ? 'The reload was refused' : refused);
    put(text, await textOf(response));
  } catch {
    put(title, refused);
    put(text, 'The balancer does not answer.');
  }
  byId('answer').showModal();
  button.disabled = false;
}

function reloadNow() { return askAndShow(byId('reload'), '/api/v1/reload', 'Reloaded', 'Not reloaded'); }

function releasePlugin(button, id) {
  return askAndShow(button, '/api/v1/plugins/' + encodeURIComponent(id) + '/release', 'Released', 'Not released');
}

function startControls() {
  byId('reload').onclick = reloadNow;
  byId('change-form').onsubmit = sendChange;
  byId('change-form').onchange = (event) => { if (event.target.name === 'action') adaptChange(); };
  byId('token').onclick = () => byId('token-dialog').showModal();
  byId('token-form').onsubmit = () => {
    const token = byId('token-value').value.trim();
    token ? sessionStorage.setItem(kTokenName, token) : sessionStorage.removeItem(kTokenName);
    byId('token-value').value = '';
  };
  for (const button of document.querySelectorAll('[data-close]')) button.onclick = () => button.closest('dialog').close();
  const theme = byId('theme');
  const apply = (name) => name ? document.documentElement.setAttribute('data-theme', name) : document.documentElement.removeAttribute('data-theme');
  theme.value = localStorage.getItem('lemonade-theme') || '';
  apply(theme.value);
  theme.onchange = () => { localStorage.setItem('lemonade-theme', theme.value); apply(theme.value); };
}
