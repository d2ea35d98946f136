// SPDX-License-Identifier: MIT
//
// A browser looks at the page of a balancer under load, of whose pool "web" one backend is slow and one resets, and
// which has refused a reload and quarantined the strategy of the pool "turned": node page.mjs URL FOLDER. Screenshots go
// into the folder. Exits 1 and says what is wrong.
import assert from 'node:assert/strict';
import {createRequire} from 'node:module';
import {join} from 'node:path';
import {chromium} from 'playwright-core';

const [url, folder] = process.argv.slice(2);
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const browser = await chromium.launch({executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox']});

/** A page that has had figures for a few seconds; what goes wrong in it is in page.wrong. */
async function open(width, height, colorScheme) {
  const context = await browser.newContext({viewport: {width, height}, colorScheme, bypassCSP: false});
  const page = await context.newPage();
  page.wrong = [];
  page.on('pageerror', (error) => page.wrong.push(error.message));
  page.on('console', (message) => { if (message.type() === 'error') page.wrong.push(message.text()); });
  page.on('request', (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith('data:')) page.wrong.push('asks ' + request.url());
  });
  const answer = await page.goto(url);
  page.size = (await answer.body()).length;
  page.policy = answer.headers()['content-security-policy'];
  await page.locator('.live.on').waitFor();
  await page.locator('#pool-list tbody tr').first().waitFor();
  return page;
}

const api = async (path) => (await fetch(url + path)).json();

async function attention(page, pattern) {
  await page.locator('#attention li', {hasText: pattern}).first().waitFor({timeout: 30000});
}

async function showsWhatTheApiSays(page) {
  for (const backend of (await api('api/v1/status')).backends) {
    const row = page.locator('#pool-list tbody tr', {has: page.locator('th span', {hasText: new RegExp('^' + backend.name + '$')})});
    assert.equal(await row.count(), 1, 'one row for ' + backend.name);
    const text = await row.innerText();
    assert.ok(text.includes(backend.address), text);
    assert.ok(['up', 'ejected'].includes(backend.state) || text.includes(backend.state), backend.state + ' in ' + text);
    assert.equal(await row.locator('td[data-name="Weight"]').innerText(), String(backend.weight));
  }
  for (const one of (await api('api/v1/status')).plugins)
    assert.ok((await page.locator('#plugins').innerText()).includes(one.id), one.id);
  await page.locator('#pool-list .figure', {hasText: /^shadow adaptive, differs in .* % of .* picks: .* where it would/}).waitFor();
  const shown = await page.locator('#timeline').innerText();
  assert.ok(shown.includes('reload refused'), shown);
  assert.ok((await page.locator('#last-reload').innerText()).includes('strategyy'));
}

async function findsAllOfIt(page) {
  await attention(page, /web\/slow is slow/);
  await attention(page, /web\/resets (fails .* of its clients|is ejected|has failures)/);
  await attention(page, /last reload was refused .*strategyy/);
  await attention(page, /Plugin com\.example\.turncoat 2\.0\.0 was quarantined .*: SIGSEGV at 0x8 in pick/);
  await attention(page, /Pool turned has no strategy of a plugin left/);
}

/** The way from what is found to the button, and what it answers: the file is still the one that was refused. */
async function releasesThePlugin(page) {
  await page.locator('#attention a', {hasText: /was quarantined/}).click();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Release');
  await page.keyboard.press('Enter');
  await page.locator('#answer-text', {hasText: /plugin com\.example\.turncoat is released/}).waitFor();
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => document.querySelectorAll('#quarantined li').length === 0);
  assert.deepEqual((await api('api/v1/status')).quarantined, []);
}

async function changesABackendByKeyboard(page) {
  await page.locator('#filter').fill('web-1');
  const row = page.locator('#pool-list tbody tr');
  await page.waitForFunction(() => document.querySelectorAll('#pool-list tbody tr').length === 1);
  await row.locator('button').focus();
  await page.keyboard.press('Enter');
  await page.locator('#change').waitFor();
  await page.locator('input[name=action][value=weight]').focus();
  await page.keyboard.press('Space');
  await page.locator('#value').fill('7');
  await page.locator('#for').fill('10m');
  await page.locator('#persist').check();
  await page.locator('#for').press('Enter');
  await page.locator('#change-answer', {hasText: /weight 7/}).waitFor();
  assert.equal((await api('api/v1/backends')).backends.find((one) => one.name === 'web-1').weight, 7);
  assert.ok((await page.locator('#change-answer').innerText()).includes('weight = 7'));
  await page.keyboard.press('Escape');
  await attention(page, /web\/web-1 is changed: weight 7/);
  await row.locator('button').click();
  await page.locator('input[name=action][value=enable]').check();
  await page.locator('#change-submit').click();
  await page.waitForFunction(() => document.getElementById('change-answer').textContent !== '');
  assert.equal((await api('api/v1/backends')).backends.find((one) => one.name === 'web-1').weight, 1);
  await page.keyboard.press('Escape');
  await page.locator('#filter').fill('');
}

async function isAccessible(page, what) {
  await page.evaluate(await (await import('node:fs/promises')).readFile(axe, 'utf8'));
  const found = await page.evaluate(() => axe.run({resultTypes: ['violations']}));
  const bad = found.violations.map((one) => one.id + ': ' + one.nodes.map((node) => node.target).join(' ') + ' ' + one.nodes[0].failureSummary);
  assert.deepEqual(bad, [], what);
}

async function fits(page) {
  const [content, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= width, content + ' px wide in ' + width);
}

try {
  for (const [name, width, height, scheme] of [['light', 1280, 1400, 'light'], ['dark', 1280, 1400, 'dark'], ['phone', 390, 844, 'light']]) {
    const page = await open(width, height, scheme);
    assert.ok(page.size < 100000, page.size + ' bytes');
    assert.match(page.policy, /default-src 'none'/);
    await findsAllOfIt(page);
    await showsWhatTheApiSays(page);
    if (name === 'light') await changesABackendByKeyboard(page);
    await page.screenshot({path: join(folder, name + '.png'), fullPage: name === 'phone'});
    await fits(page);
    await isAccessible(page, name);
    assert.deepEqual(page.wrong, [], name);
    if (name === 'phone') await releasesThePlugin(page);  // at last: a browser calls an answer of 422 an error, too
    await page.context().close();
  }
} finally {
  await browser.close();
}
console.log('the page shows what the API says, in both themes and at 390 px');
