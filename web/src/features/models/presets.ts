/** Where calls can go, with what each provider needs to be told. Addresses are the providers' own, as documented. */
export type Preset = { key: 'openai' | 'anthropic' | 'deepseek' | 'qwen' | 'glm' | 'moonshot' | 'ollama' | 'vllm' | 'local' | 'scripted'; type: string; baseUrl?: string; needsKey: boolean; models: string[] };

export const PRESETS: Preset[] = [
  { key: 'openai', type: 'openai', baseUrl: 'https://api.openai.com/v1', needsKey: true, models: ['gpt-4o-mini', 'gpt-4o', 'gpt-4.1-mini'] },
  { key: 'anthropic', type: 'anthropic', baseUrl: 'https://api.anthropic.com', needsKey: true, models: ['claude-haiku-4-5', 'claude-sonnet-4-5'] },
  { key: 'deepseek', type: 'openai', baseUrl: 'https://api.deepseek.com/v1', needsKey: true, models: ['deepseek-chat', 'deepseek-reasoner'] },
  { key: 'qwen', type: 'openai', baseUrl: 'https://dashscope.aliyuncs.com/compatible-mode/v1', needsKey: true, models: ['qwen-plus', 'qwen-turbo'] },
  { key: 'glm', type: 'openai', baseUrl: 'https://open.bigmodel.cn/api/paas/v4', needsKey: true, models: ['glm-4-flash', 'glm-4-plus'] },
  { key: 'moonshot', type: 'openai', baseUrl: 'https://api.moonshot.cn/v1', needsKey: true, models: ['moonshot-v1-8k', 'kimi-latest'] },
  { key: 'ollama', type: 'openai', baseUrl: 'http://127.0.0.1:11434/v1', needsKey: false, models: ['llama3.2', 'qwen3'] },
  { key: 'vllm', type: 'openai', baseUrl: 'http://127.0.0.1:8001/v1', needsKey: false, models: [] },
  { key: 'local', type: 'local', needsKey: false, models: ['smollm2'] },
  { key: 'scripted', type: 'scripted', needsKey: false, models: ['scripted'] },
];

export const NAME = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$/;
