"use strict";
const el = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};
const text = (value) => el("p", {}, ...String(value ?? "").split(/(`[^`]+`)/).map(
  (part) => part.startsWith("`") ? el("code", {}, part.slice(1, -1)) : part));
let schemas = {};
const nameOf = (schema) => schema?.$ref?.split("/").pop();
const resolved = (schema) => schema?.$ref ? schemas[nameOf(schema)] ?? {} : schema ?? {};

function kind(schema) {
  if (!schema) return "";
  if (schema.$ref) return nameOf(schema);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf) return schema.anyOf.map(kind).join(" | ");
  if (schema.type === "array") return "list of " + (kind(schema.items) || "anything");
  const range = [["minimum", "≥ "], ["maximum", "≤ "], ["minLength", "chars ≥ "], ["maxLength", "chars ≤ "]]
    .filter(([key]) => schema[key] !== undefined).map(([key, sign]) => sign + schema[key]).join(", ");
  return (schema.format ?? schema.type ?? "anything") + (range ? ` (${range})` : "");
}

function sample(schema, depth = 0) {
  const found = resolved(schema);
  if (found.examples?.length) return found.examples[0];
  if (found.default !== undefined) return found.default;
  if (found.enum) return found.enum[0];
  if (found.const !== undefined) return found.const;
  if (depth > 6) return null;
  if (found.anyOf) return sample(found.anyOf[0], depth + 1);
  if (found.type === "array") return [sample(found.items, depth + 1)];
  if (found.properties) return Object.fromEntries(
    Object.entries(found.properties).map(([key, value]) => [key, sample(value, depth + 1)]));
  return { string: "text", integer: 1, number: 1, boolean: true, object: {} }[found.type] ?? null;
}

const rows = (list) => el("table", {}, el("tr", {}, ...["Name", "Kind", "Meaning"].map((head) => el("th", {}, head))), ...list);
const row = (name, note, schema, about) => el("tr", {},
  el("td", {}, el("code", {}, name), note ? el("small", {}, " " + note) : null),
  el("td", {}, kind(schema)), el("td", {}, text(about)));
const fields = (schema) => rows(Object.entries(resolved(schema).properties ?? {}).map(([name, field]) =>
  row(name, (resolved(schema).required ?? []).includes(name) ? "needed" : "", field, field.description)));

function curl(method, path, operation, body) {
  const address = location.origin + path.replace(/{(\w+)}/g, (_, name) => name.toUpperCase());
  const parts = [`curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}${address}`];
  if (operation.security?.length) parts.push('-H "Authorization: Bearer $LLMS_API_KEY"');
  if (body !== undefined) parts.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`);
  return parts.join(" \\\n  ");
}

function block(method, path, operation) {
  const content = operation.requestBody?.content?.["application/json"]?.schema;
  const body = content && sample(content);
  const made = el("details", { id: operation.operationId },
    el("summary", {}, el("b", {}, method.toUpperCase()), el("code", {}, path), el("span", {}, operation.summary)),
    ...(operation.description ?? "").split("\n\n").map(text));
  if (operation.parameters?.length) made.append(el("h4", {}, "Parameters"), rows(operation.parameters.map((each) =>
    row(each.name, each.required ? "needed" : each.in === "query" ? "" : each.in, each.schema, each.description ?? each.schema.description))));
  if (content) made.append(el("h4", {}, "Body: " + Object.keys(operation.requestBody.content).join(", ")),
    fields(content.items ?? content), el("pre", {}, JSON.stringify(body, null, 2)));
  made.append(el("h4", {}, "Answers"));
  const problems = [];
  for (const [status, answer] of Object.entries(operation.responses)) {
    const [media, shape] = Object.entries(answer.content ?? {})[0] ?? [];
    if (media === "application/problem+json") { problems.push(`${status} ${answer.description}`); continue; }
    made.append(el("p", {}, el("b", {}, status + " "), answer.description + (media ? ` · ${media}` : "")));
    if (shape?.schema && resolved(shape.schema).properties) made.append(fields(shape.schema));
  }
  made.append(el("p", {}, el("small", {}, "Problems: " + problems.join(" · "))), el("pre", {}, curl(method, path, operation, body)));
  return made;
}

function draw(found) {
  schemas = found.components.schemas;
  const main = document.getElementById("main"), menu = document.getElementById("menu");
  main.replaceChildren(el("h1", {}, found.info.title + " ", el("small", {}, found.info.version)),
    ...found.info.description.split("\n\n").map(text));
  for (const tag of found.tags) {
    main.append(el("h2", {}, tag.name), text(tag.description));
    menu.append(el("h2", {}, tag.name));
    for (const [path, operations] of Object.entries(found.paths)) for (const [method, operation] of Object.entries(operations)) {
      if (!operation.tags.includes(tag.name)) continue;
      main.append(block(method, path, operation));
      const link = el("a", { href: "#" + operation.operationId, title: `${method.toUpperCase()} ${path}` }, operation.summary);
      link.dataset.words = `${method} ${path} ${operation.summary}`.toLowerCase();
      menu.append(link);
    }
  }
  const codes = schemas.ProblemAnswer?.properties.code["x-codes"] ?? {};
  main.append(el("h2", { id: "problems" }, "Problems"), text("Values of `code` in an error, stable over versions."),
    el("table", {}, ...Object.entries(codes).map(([code, meaning]) =>
      el("tr", { id: code }, el("td", {}, el("code", {}, code)), el("td", {}, text(meaning))))));
  menu.append(el("h2", {}, el("a", { href: "#problems" }, "Problems")));
  const open = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target?.tagName === "DETAILS") target.open = true;
    target?.scrollIntoView();
  };
  addEventListener("hashchange", open);
  open();
  document.getElementById("find").oninput = (event) => {
    for (const link of menu.querySelectorAll("a")) link.hidden = !link.dataset.words.includes(event.target.value.toLowerCase());
  };
}

fetch("/api/v1/openapi.json").then((answer) => answer.json()).then(draw).catch((error) => {
  document.getElementById("main").replaceChildren(el("p", {}, "The document cannot be read: " + error));
});
