// Runs the chat page's script on a document of plain objects, and prints what a reader would see.
"use strict";
const fs = require("fs");
const page = fs.readFileSync(process.argv[2], "utf8");
const script = page.split("<script>")[1].split("</script>")[0];

class Element {
  constructor(kind) {
    Object.assign(this, {kind, children: [], dataset: {}, listeners: {}, attributes: {}, className: "", value: ""});
    this.textContent = "";
    this.classList = {toggle: (name, on) => { this.classes = {...this.classes, [name]: on}; }};
  }
  append(...children) { for (const child of children) child.parentElement = this; this.children.push(...children); }
  replaceChildren(...children) { this.children = []; this.append(...children); }
  setAttribute(name, value) { this.attributes[name] = value; }
  addEventListener(name, heard) { this.listeners[name] = heard; }
  focus() {}
  get innerHTML() { throw new Error("innerHTML is never used"); }
  set innerHTML(_) { throw new Error("innerHTML is never used"); }
  read() { return [this.textContent, ...this.children.map((child) => child.read())].filter(Boolean).join("|"); }
}

const elements = {};
for (const [, id] of page.matchAll(/id="([a-z]+)"/g)) elements[id] = new Element(id);
new Element("main").append(elements.log);
Object.assign(elements.temperature, {value: "0.5"});
Object.assign(elements.topp, {value: "0.9"});
Object.assign(elements.limit, {value: "20"});
global.document = {
  documentElement: {}, body: new Element("body"), addEventListener() {}, getElementById: (id) => elements[id], createElement: (kind) => new Element(kind),
  querySelectorAll: () => [],
};
Object.defineProperty(global, "navigator", {value: {language: "en-GB"}});

const asked = [];
function stream(texts, key) {
  const event = (data) => `data: ${JSON.stringify(data)}\n\n`;
  const choice = (text, reason) => ({choices: [{[key]: key === "delta" ? {content: text} : text, finish_reason: reason}]});
  const bytes = Buffer.from(texts.map((text) => event(choice(text, null))).join("") + event(choice("", "length")) + "data: [DONE]\n\n");
  return new Response(new ReadableStream({
    start(controller) {
      for (let i = 0; i < bytes.length; i += 7) controller.enqueue(new Uint8Array(bytes.subarray(i, i + 7)));
      controller.close();
    },
  }));
}
global.fetch = async (path, options) => {
  if (path === "/v1/models") return new Response(JSON.stringify({data: [{id: "base", chat: false}, {id: "sft", chat: true}]}));
  const body = JSON.parse(options.body);
  asked.push([path, body]);
  if (JSON.stringify(body).includes("too long")) return new Response(JSON.stringify({error: {message: "the prompt is too long"}}), {status: 400});
  return path.includes("chat") ? stream(["<b>你", "好🙂</b>"], "delta") : stream([" grew", " well"], "text");
};

async function until(holds) { while (!holds()) await new Promise((go) => setTimeout(go, 1)); }
async function say(text) {
  elements.question.value = text;
  elements.form.listeners.submit({preventDefault() {}});
  await until(() => !elements.send.hidden);
  return elements.log.read();
}

(async () => {
  (0, eval)(script);
  await until(() => elements.model.children.length);
  const seen = {empty: elements.log.read(), models: elements.model.children.map((option) => option.textContent)};
  seen.first = await say("Hello <i>");
  seen.second = await say("再来");
  seen.wrong = await say("too long");
  seen.kept = elements.question.value;
  elements.all.listeners.click();
  seen.both = await say("The field");
  elements.language.listeners.click();
  seen.chinese = elements.question.placeholder;
  elements.fresh.listeners.click();
  seen.fresh = elements.log.read();
  console.log(JSON.stringify({seen, asked}));
})();
