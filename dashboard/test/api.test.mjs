// The OpenAPI document rules: the page's types are generated from it, and the stand-in of the ingest answers as it says.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { createConfig, lintFromString } from '@redocly/openapi-core';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { generated, TYPES } from '../scripts/api-types.mjs';
import { startMock, troubledStorage } from './mock-api.mjs';
import { exampleSpans } from './mock-spans.mjs';

const openapi = JSON.parse(await readFile(new URL('../../crates/ingest/src/http/openapi.json', import.meta.url), 'utf8'));
const ajv = addFormats.default(new Ajv2020({ strict: false, allErrors: true })).addSchema(openapi, 'api');

/** The differences between a response and its schema. */
function differences(path, method, status, body) {
  const schema = openapi.paths[path]?.[method]?.responses[status]?.content['application/json'].schema;
  assert.ok(schema, `${method} ${path} has no response ${status}`);
  const validate = ajv.getSchema(`api${schema.$ref}`);
  return validate(body) ? [] : validate.errors.map(({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`);
}

describe('the stand-in fits the OpenAPI document', () => {
  let mock;
  before(async () => (mock = await startMock()));
  after(() => mock.close());

  const check = (name, path, { mode = 'data', status = 200, question } = {}) =>
    test(name, async () => {
      mock.mode = mode;
      const init = question && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(question) };
      const response = await fetch(`${mock.url}/api/v1/${path}`, init);
      assert.equal(response.status, status);
      assert.deepEqual(differences(`/api/v1/${path.split('?')[0]}`, question ? 'post' : 'get', status, await response.json()), []);
    });

  for (const mode of ['data', 'empty', 'heartbeat']) {
    for (const path of ['summary', 'summary?group_by=method,route', 'timeseries', 'timeseries?step=300&group_by=status,consumer,service,environment', 'summary?group_by=route&compare=day', 'timeseries?step=300&group_by=status&compare=previous', 'latencies', 'latencies?step=3600', 'requests?limit=1000', 'gateways', 'releases', 'releases?limit=2', 'uptime', 'uptime?group_by=probe', 'uptime?group_by=gateway&step=3600', 'uptime?group_by=route', 'consumers', 'directory', 'patterns', 'drift', 'shapes', 'shapes?route=/v1/orders', 'storage', 'issues']) {
      check(`${path}, ${mode}`, path, { mode });
    }
  }
  test('alerts', async () => {
    [mock.mode, mock.alerts] = ['data', undefined];
    for (const path of ['alerts', 'alerts/deliveries']) {
      const body = await (await fetch(`${mock.url}/api/v1/${path}`)).json();
      assert.deepEqual(differences(`/api/v1/${path}`, 'get', 200, body), []);
    }
  });
  test('spans of applications', async () => {
    [mock.mode, mock.spans] = ['data', { '4bf92f3577b34da6a3ce929d0e0e4736': exampleSpans(Date.now()) }];
    const body = await (await fetch(`${mock.url}/api/v1/spans?trace_id=4bf92f3577b34da6a3ce929d0e0e4736`)).json();
    assert.equal(body.rows.length, 4);
    assert.deepEqual(differences('/api/v1/spans', 'get', 200, body), []);
  });
  test('an issue', async () => {
    mock.mode = 'data';
    const body = await (await fetch(`${mock.url}/api/v1/issues/0000000000000004`)).json();
    assert.equal(body.fields.length, 2);
    assert.deepEqual(differences('/api/v1/issues/{id}', 'get', 200, body), []);
  });
  test('learned routes', async () => {
    [mock.mode, mock.learned] = ['data', '/v1/shops/{param}'];
    const body = await (await fetch(`${mock.url}/api/v1/patterns`)).json();
    assert.equal(body.rows.length, 1);
    assert.deepEqual(differences('/api/v1/patterns', 'get', 200, body), []);
  });
  check('who is signed in', 'session');
  test('what is stored, removed, rejected and damaged', async () => {
    const found_at = '2026-06-20T12:00:00Z';
    mock.mode = 'data';
    mock.storage = troubledStorage(found_at);
    const body = await (await fetch(`${mock.url}/api/v1/storage`)).json();
    mock.storage = {};
    assert.deepEqual(differences('/api/v1/storage', 'get', 200, body), []);
  });
  test('a receiver that is changed', async () => {
    mock.mode = 'data';
    const body = await (await fetch(`${mock.url}/api/v1/alerts/receivers/post`)).json();
    assert.deepEqual(differences('/api/v1/alerts/receivers/{name}', 'get', 200, body), []);
  });
  test('what a viewer sees, and the audit log', async () => {
    mock.mode = 'data';
    mock.session = { required: true, methods: ['password'], provider: null, person: { name: 'eve', role: 'viewer', expires_in: null } };
    mock.audit = [{ time: '2026-06-20T12:00:00Z', actor: 'ada', role: null, peer: null, action: 'sign_in_failed', detail: '' }];
    for (const path of ['requests', 'audit', 'session']) {
      const body = await (await fetch(`${mock.url}/api/v1/${path}`)).json();
      assert.deepEqual(differences(`/api/v1/${path}`, 'get', 200, body), []);
    }
    mock.session = { required: false, methods: [], provider: null, person: null };
  });
  check('an unavailable store', 'summary', { mode: 'error', status: 503 });
  check('an invalid time', 'requests?from=yesterday', { status: 400 });
  const preview = (config, content_type = 'application/json') => ({ config: JSON.stringify(config), direction: 'request', content_type, body: '{"password": "x"}' });
  check('a preview', 'redact', { question: preview({ redact: { request_body: ['$.a.b'], keys: ['passport_no'] } }) });
  check('a preview of a body that is omitted', 'redact', { question: preview({}, 'text/html') });
  check('a preview of a refused configuration', 'redact', { status: 422, question: preview({ redact: { request_body: ['wrong'] } }) });

  check('a comparison of an OpenAPI document', 'openapi/compare', { question: { openapi: '3.1.0', paths: {} } });
  check('a document that cannot be compared', 'openapi/compare', { status: 422, question: {} });

  test('and the check finds a difference', async () => {
    mock.mode = 'data';
    const { rows } = await (await fetch(`${mock.url}/api/v1/gateways`)).json();
    for (const change of [(row) => delete row.held, (row) => (row.series = '12'), (row) => (row.last_seen = 'just now'), (row) => (row.surprise = 1)]) {
      const changed = structuredClone(rows);
      change(changed[0]);
      assert.equal(differences('/api/v1/gateways', 'get', 200, { rows: changed }).length, 1, String(change));
    }
  });
});

test('the types of the page are those of the OpenAPI document', async () => {
  assert.equal(await readFile(TYPES, 'utf8'), await generated(), '`npm run types` writes them anew');
});

describe('a document made from traffic', () => {
  // A test of the ingest makes this file from traffic, and compares.
  const made = new URL('../../crates/ingest/tests/fixtures/openapi-of-traffic.json', import.meta.url);
  const RULES = ['struct', 'no-unresolved-refs', 'path-parameters-defined', 'path-declaration-must-exist', 'no-identical-paths', 'path-not-include-query', 'operation-parameters-unique'];

  const problemsOf = async (document) => {
    const config = await createConfig({ rules: Object.fromEntries(RULES.map((rule) => [rule, 'error'])) });
    const problems = await lintFromString({ source: JSON.stringify(document), config });
    return problems.map(({ ruleId, message }) => `${ruleId}: ${message}`);
  };

  test('is valid OpenAPI 3.1', async () => {
    const document = JSON.parse(await readFile(made, 'utf8'));
    assert.ok(Object.keys(document.paths).length > 3);
    assert.deepEqual(await problemsOf(document), []);
    const schemas = [];
    JSON.stringify(document, (key, value) => (key === 'schema' ? (schemas.push(value), value) : value));
    for (const schema of schemas) assert.equal(new Ajv2020({ strict: false }).validateSchema(schema), true);
  });

  test('would be found invalid', async () => {
    const document = JSON.parse(await readFile(made, 'utf8'));
    const { '/': root, ...paths } = document.paths;
    assert.ok(root);
    assert.match((await problemsOf({ ...document, paths: { ...paths, '/{id}': root } })).join(), /path-parameters-defined/);
    assert.match((await problemsOf({ ...document, info: {} })).join(), /struct/);
  });
});
