type Message = { role?: string; content?: unknown };

/** What a request says, for reading: the messages one after the other, else JSON. */
export function inputText(input: Record<string, unknown>): string {
  const messages = input['messages'];
  if (Array.isArray(messages) && messages.every((one: Message) => typeof one.content === 'string'))
    return messages.map((one: Message) => (messages.length === 1 ? String(one.content) : `${one.role}: ${String(one.content)}`)).join('\n\n');
  if (typeof input['prompt'] === 'string') return input['prompt'];
  return JSON.stringify(input, null, 2);
}
