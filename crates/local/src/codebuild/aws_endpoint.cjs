'use strict';
// Sends signed requests to AWS to the stack's endpoint instead. Version 2 of the AWS SDK, which an aws-cdk before 2.167
// contains, does not know AWS_ENDPOINT_URL. Other requests, such as public downloads, are left alone.

const http = require('http');
const https = require('https');
const { syncBuiltinESMExports } = require('module');
const { urlToHttpOptions } = require('url');

const HOST = /(^|\.)amazonaws\.com(\.cn)?$/;

function header(options, name) {
  const found = Object.keys(options.headers || {}).find((key) => key.toLowerCase() === name);
  return found && String(options.headers[found]);
}

function isSigned(options) {
  const authorization = header(options, 'authorization');
  return /^AWS4-/.test(authorization) || /[?&]X-Amz-Signature=/.test(options.path);
}

function split(args) {
  const rest = [...args];
  let options = rest.shift();
  if (typeof options === 'string' || options instanceof URL) {
    const more = rest[0] !== null && typeof rest[0] === 'object' ? rest.shift() : {};
    options = { ...urlToHttpOptions(new URL(options)), ...more };
  }
  return [options || {}, rest];
}

// The signature covers the Host header and the path, so both stay as they are: the emulator knows AWS's hosts.
function redirected(options, endpoint) {
  const host = options.hostname || options.host;
  const { agent, servername, ...others } = options;
  return {
    ...others,
    protocol: endpoint.protocol,
    host: endpoint.hostname,
    hostname: endpoint.hostname,
    port: endpoint.port,
    headers: header(options, 'host') ? options.headers : { ...options.headers, Host: host },
  };
}

function patch(module, original) {
  module.request = (...args) => {
    const endpoint = process.env.AWS_ENDPOINT_URL;
    const [options, rest] = split(args);
    if (!endpoint || !HOST.test(options.hostname || options.host) || !isSigned(options)) return original(...args);
    const to = new URL(endpoint);
    const request = to.protocol === 'https:' ? originals.https : originals.http;
    return request(redirected(options, to), ...rest);
  };
  module.get = (...args) => {
    const request = module.request(...args);
    request.end();
    return request;
  };
}

const originals = { http: http.request, https: https.request };
patch(http, originals.http);
patch(https, originals.https);
syncBuiltinESMExports();
