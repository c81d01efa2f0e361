// Reads /openapi.json and /asyncapi.json, or a dialect's, and shows them. Everything is set as text, never as markup.
"use strict";

const byId = (id) => document.getElementById(id);
const METHODS = ["get", "post", "put", "patch", "delete"];

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** Prose with `code` in it. */
const prose = (text) => (text || "").split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));
const table = (head, rows) =>
  el("div", { class: "table" }, el("table", {},
    el("thead", {}, el("tr", {}, head.map((name) => el("th", {}, name)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell) => el("td", {}, cell)))))));

/** JSON with its strings, numbers and words told apart. */
function json(value) {
  const text = JSON.stringify(value, null, 2);
  const parts = text.split(/("(?:[^"\\]|\\.)*"(?=\s*:)|"(?:[^"\\]|\\.)*"|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?)/);
  const kind = (token) => (token[0] === '"' ? "string" : /[a-z]/.test(token[0]) ? "word" : "number");
  return el("pre", {}, parts.map((part, i) => {
    if (i % 2 === 0) return part;
    const isKey = /^\s*:/.test(parts[i + 1] || "");
    return isKey ? part : el("span", { class: kind(part) }, part);
  }));
}

// ── schemas ─────────────────────────────────────────────────────────────────────────────────────────────────────

const nameOf = (ref) => ref.split("/").pop();
const link = (name) => el("a", { href: `#shape-${name}` }, name);

/** A schema's type in a few words, with links to named shapes. */
function type(schema) {
  if (schema.$ref) return [link(nameOf(schema.$ref))];
  if ("const" in schema) return [el("code", {}, JSON.stringify(schema.const))];
  if (schema.enum) return join(schema.enum.map((value) => [el("code", {}, value)]), " | ");
  const choices = (schema.anyOf || schema.oneOf)?.filter((choice) => choice.type !== "null");
  if (choices) return join(choices.map(type), " | ");
  if (schema.type === "array") return ["[", ...type(schema.items || {}), "]"];
  if (schema.type === "object") {
    const values = schema.additionalProperties || Object.values(schema.patternProperties || {})[0];
    return values instanceof Object ? ["{ id: ", ...type(values), " }"] : ["object"];
  }
  return [(schema.format === "date-time" ? "time" : schema.type || "anything") + bounds(schema)];
}

function bounds(schema) {
  const [low, high] = [schema.minLength ?? schema.minimum, schema.maxLength ?? schema.maximum];
  if (high !== undefined && high < 2 ** 53) return ` (${low ?? 0} to ${high})`;
  return schema.pattern ? ` ${schema.pattern}` : "";
}

const join = (lists, by) => lists.flatMap((list, i) => (i ? [by, ...list] : list));

/** The fields of an object, or the type where it is none. */
function fields(schema) {
  if (!schema.properties) return el("p", {}, type(schema));
  const must = new Set(schema.required || []);
  const rows = Object.entries(schema.properties).map(([name, part]) => [
    [el("code", {}, name), must.has(name) ? el("span", { class: "must", title: "required" }, " *") : ""],
    type(part),
    [...prose(part.description), part.default === undefined || part.default === null ? "" :
      el("span", {}, " default: ", el("code", {}, JSON.stringify(part.default)))],
  ]);
  return rows.length ? table(["field", "type", ""], rows) : el("p", {}, "No fields.");
}

// ── entries ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** One thing that can be opened; its inside is made when it is. */
function entry({ id, badge, kind, name, about, words }, inside) {
  const node = el("details", { id },
    el("summary", {}, el("span", { class: `badge ${kind}` }, badge), el("code", {}, name),
      el("span", { class: "about" }, prose(about))));
  node.dataset.words = [name, badge, about, words].join(" ").toLowerCase();
  node.addEventListener("toggle", () => {
    if (node.open && node.children.length === 1) node.append(el("div", { class: "inner" }, inside()));
  });
  return node;
}

const part = (title, ...content) => (content.length ? [el("h3", {}, title), ...content] : []);
const words = (value) => JSON.stringify(value).replace(/[^A-Za-z0-9_.]+/g, " ").slice(0, 4000);

function endpoint(api, path, method, operation) {
  const resolve = (item) => (item.$ref ? item.$ref.split("/").slice(1).reduce((at, key) => at[key], api) : item);
  return entry({
    id: `rest-${operation.operationId}`, badge: method.toUpperCase(), kind: method, name: path, about: operation.summary,
    words: words(operation),
  }, () => {
    const parameters = (operation.parameters || []).map(resolve);
    const body = operation.requestBody?.content["application/json"];
    const rows = parameters.map((item) => [
      [el("code", {}, item.name), item.required ? el("span", { class: "must" }, " *") : ""],
      item.in, type(item.schema), prose(item.description),
    ]);
    return [
      el("p", {}, prose(operation.description)),
      rows.length ? part("Parameters", table(["name", "in", "type", ""], rows)) : [],
      body ? part("Body", shape(api, body.schema), json(body.example)) : [],
      operation.security ? [] : part("Try it", el("pre", {}, curl(path, method, parameters, body))),
      Object.entries(operation.responses).map(([status, response]) => answer(api, status, resolve(response))),
    ];
  });
}

const shape = (api, schema) => (schema.$ref ? fields(api.components.schemas[nameOf(schema.$ref)]) : fields(schema));

function answer(api, status, response) {
  const content = response.content?.["application/json"];
  const good = status < 300 && content?.schema;
  return [
    el("h3", {}, status), el("p", {}, prose(response.description), good ? [" → ", ...type(content.schema)] : []),
    good ? json(content.example) : [],
  ];
}

function curl(path, method, parameters, body) {
  const given = Object.fromEntries(parameters.map((item) => [item.name, item.example ?? `{${item.name}}`]));
  const url = location.origin + path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(given[name]));
  const verb = method === "get" ? "" : ` -X ${method.toUpperCase()}`;
  const data = body ? ` \\\n  -H 'Content-Type: application/json' -d '${JSON.stringify(body.example)}'` : "";
  return `curl${verb} -H "Authorization: Bearer $TOKEN" ${url}${data}`;
}

function frame(api, name, incoming) {
  const messages = api.components.messages;
  const message = messages[name];
  const body = message.payload.properties.data;
  return entry({
    id: `frame-${name}`, badge: incoming ? "send" : "receive", kind: incoming ? "in" : "out", name,
    about: message.summary, words: words(message),
  }, () => [
    body ? part("data", body.$ref ? shape(api, body) : fields(body)) : part("fields", fields(message.payload)),
    part(incoming ? "You send" : "You receive", ...message.examples.map((item) => json(item.payload))),
    incoming ? part("You get", json(messages[`${name}.ack`].examples[0].payload),
      el("p", {}, prose(messages[`${name}.ack`].summary), " Or an ", el("a", { href: "#frame-error" }, "error"), ".")) : [],
  ]);
}

function channel(name, item) {
  const amqp = item.bindings.amqp;
  const batch = item.messages?.batch;
  const about = amqp.queue ? `${item["x-bindings"].map((b) => `${b.exchange} ← ${b.key}`).join(", ")}` : item.title;
  return entry({
    id: `bus-${name}`, badge: amqp.queue ? "queue" : amqp.exchange.type, kind: amqp.queue ? "queue" : "bus",
    name: amqp.queue ? item.address : `${amqp.exchange.name} ${item.address}`, about, words: words(item),
  }, () => [
    item.parameters ? part("Parameters", table(["name", ""], Object.entries(item.parameters).map(
      ([key, value]) => [el("code", {}, key), prose(value.description)]))) : [],
    amqp.queue ? [json(amqp.queue), part("Arguments", json(item["x-arguments"]))] : [],
    batch ? [part("Batches of", el("p", {}, type(batch.payload.items))),
      part("Example", json(batch.examples[0].payload))] : [],
  ]);
}

/** An event of a dialect. What clients send has an acknowledgement. */
function happening(api, name, incoming) {
  const message = api.components.messages[`${incoming ? "receive" : "send"}.${name}`];
  const ack = incoming ? api.components.messages[`ack.${name}`] : null;
  return entry({
    id: `${incoming ? "event" : "told"}-${name}`, badge: incoming ? "send" : "receive", kind: incoming ? "in" : "out",
    name: message.name, about: message.summary, words: words(message),
  }, () => [
    part("payload", shape(api, message.payload), (message.examples || []).map((item) => json(item.payload))),
    ack ? part("The callback gets", shape(api, ack.payload), (ack.examples || []).map((item) => json(item.payload)),
      el("p", {}, "Or the error.")) : [],
  ]);
}

const schemaEntry = (name, schema) => entry({
  id: `shape-${name}`, badge: "shape", kind: "shape", name, about: (schema.description || "").split("\n")[0],
  words: words(schema),
}, () => [schema.description ? el("p", {}, prose(schema.description)) : [], fields(schema)]);

// ── the page ────────────────────────────────────────────────────────────────────────────────────────────────────

function sections(rest, ws) {
  const operations = Object.entries(rest.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({ path, method, operation: item[method] })));
  const asked = (action) => Object.values(ws.operations)
    .filter((operation) => operation.action === action && operation.channel.$ref === "#/channels/native")
    .map((operation) => nameOf(operation.messages[0].$ref));
  const bus = Object.entries(ws.channels).filter(([, item]) => item.bindings.amqp);
  const shapes = Object.entries({ ...ws.components.schemas, ...rest.components.schemas }).sort();
  return [
    { id: "start", group: "Start", title: "Start", lead: rest.info.summary, entries: [], content: welcome(rest, ws) },
    ...rest.tags.map((tag) => ({
      id: `tag-${tag.name}`, group: "REST", title: tag.name, lead: tag.description,
      entries: operations.filter(({ operation }) => operation.tags.includes(tag.name))
        .map(({ path, method, operation }) => endpoint(rest, path, method, operation)),
    })),
    { id: "in", group: "WebSocket", title: "frames you send", lead: ws.channels.native.description,
      entries: asked("receive").map((name) => frame(ws, name, true)) },
    { id: "out", group: "WebSocket", title: "frames you receive", lead: "Besides the answers to your own.",
      entries: [...asked("send"), "error"].map((name) => frame(ws, name, false)) },
    { id: "errors", group: "Errors", title: "Errors", lead: "The same on every way in.", entries: [], content: errors(ws) },
    { id: "bus", group: "Message bus", title: "Message bus", lead: "RabbitMQ: what other services may listen to.",
      entries: bus.map(([name, item]) => channel(name, item)) },
    { id: "shapes", group: "Shapes", title: "Shapes", lead: "Fields marked * are always there.",
      entries: shapes.map(([name, schema]) => schemaEntry(name, schema)) },
  ];
}

function dialectSections(rest, ws) {
  const [channel] = Object.values(ws.channels);
  const namespaces = channel.parameters ? channel.parameters.namespace.enum : [channel.address];
  const named = (action) => Object.entries(ws.operations)
    .filter(([, operation]) => operation.action === action).map(([key]) => key.slice(key.indexOf(".") + 1));
  const operations = Object.entries(rest.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => endpoint(rest, path, method, item[method])));
  const shapes = Object.entries({ ...ws.components.schemas, ...rest.components.schemas }).sort();
  const about = [
    el("p", {}, prose(ws.info.description)),
    el("p", {}, prose(rest.info.description)),
    el("p", {}, "Socket.IO at ", el("code", {}, ws.servers.gateway.pathname), " in ",
      join(namespaces.map((name) => [el("code", {}, name)]), " or "), ". The token is a JWT. ",
      prose(ws.components.securitySchemes.bearer.description)),
  ];
  return [
    { id: "start", group: "Start", title: "Start", lead: rest.info.title, entries: [], content: about },
    { id: "in", group: "Socket.IO", title: "events you send", lead: channel.description,
      entries: named("receive").map((name) => happening(ws, name, true)) },
    { id: "out", group: "Socket.IO", title: "events you receive", lead: "Besides acknowledgements.",
      entries: named("send").map((name) => happening(ws, name, false)) },
    { id: "rest", group: "REST", title: "REST", lead: rest.info.summary, entries: operations },
    { id: "errors", group: "Errors", title: "Errors", lead: "In the dialect's own shapes.", entries: [], content: errors(ws) },
    { id: "shapes", group: "Shapes", title: "Shapes", lead: "Fields marked * are always there.",
      entries: shapes.map(([name, schema]) => schemaEntry(name, schema)) },
  ];
}

function welcome(rest, ws) {
  const address = `${location.origin.replace(/^http/, "ws")}${ws.channels.native.address}?token=$TOKEN`;
  return [
    el("p", {}, prose(rest.info.description)),
    el("p", {}, "A token is a JWT. ", prose(ws.components.securitySchemes.bearer.description)),
    el("pre", {}, `curl -H "Authorization: Bearer $TOKEN" ${location.origin}/v1/rooms\n${address}`),
  ];
}

function errors(ws) {
  const code = (text) => el("code", {}, text);
  return [
    table(["code", "HTTP", "close", "retry", "meaning"], ws["x-errors"].map((row) => [
      code(row.code), String(row.status), String(row.close), row.retryable ? "yes" : "no", prose(row.meaning)])),
    ws["x-close-codes"] ? part("Close codes", table(["code", "errors", "meaning"], ws["x-close-codes"].map((row) => [
      String(row.close), join(row.codes.map((name) => [code(name)]), " "), prose(row.meaning)]))) : [],
  ];
}

function show(all) {
  const [main, nav] = [byId("main"), byId("nav")];
  main.replaceChildren();
  let group = null;
  for (const item of all) {
    if (item.group !== group) nav.append(el("a", { class: "part", href: `#${item.id}` }, item.group));
    if (item.group !== item.title && item.entries.length) nav.append(el("a", { href: `#${item.id}` }, item.title));
    group = item.group;
    main.append(el("section", { id: item.id },
      el("h2", {}, item.group === item.title ? item.title : `${item.group}: ${item.title}`), el("p", { class: "lead" }, prose(item.lead)),
      item.content || [], item.entries));
  }
}

function search(text) {
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const section of document.querySelectorAll("section")) {
    const entries = [...section.querySelectorAll("details")];
    for (const node of entries) {
      node.hidden = !wanted.every((word) => node.dataset.words.includes(word));
      found += node.hidden ? 0 : 1;
    }
    section.hidden = wanted.length > 0 && entries.every((node) => node.hidden);
  }
  byId("found").textContent = wanted.length ? `${found} found` : "";
}

/** Open what the address names. */
function follow() {
  const node = byId(decodeURIComponent(location.hash.slice(1)));
  if (!node) return;
  if (node.hidden) { byId("search").value = ""; search(""); }
  if (node.tagName === "DETAILS") node.open = true;
  node.scrollIntoView();
}

function theme(dark) {
  document.documentElement.classList.toggle("dark", dark);
  try { localStorage.setItem("dark", dark ? "1" : ""); } catch { /* not allowed to remember: ask the system next time */ }
}

async function start() {
  let kept = null;
  try { kept = localStorage.getItem("dark"); } catch { /* as above */ }
  theme(kept === null ? matchMedia("(prefers-color-scheme: dark)").matches : kept === "1");
  byId("theme").addEventListener("click", () => theme(!document.documentElement.classList.contains("dark")));
  byId("search").addEventListener("input", (event) => search(event.target.value));
  addEventListener("keydown", (event) => {
    if (event.key === "/" && event.target.tagName !== "INPUT") { event.preventDefault(); byId("search").focus(); }
  });
  addEventListener("hashchange", follow);
  const dialect = new URLSearchParams(location.search).get("dialect");
  const addresses = ["openapi", "asyncapi"].map((name) => {
    const address = dialect ? `dialects/${encodeURIComponent(dialect)}/${name}.json` : `${name}.json`;
    byId(name).setAttribute("href", address);
    return address;
  });
  const [rest, ws] = await Promise.all(addresses.map(async (address) => (await fetch(address)).json()));
  show(dialect ? dialectSections(rest, ws) : sections(rest, ws));
  follow();
}

start().catch((error) => byId("main").replaceChildren(el("p", {}, `The documents cannot be read: ${error.message}`)));
