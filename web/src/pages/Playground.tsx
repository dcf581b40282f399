import { ClearOutlined, SendOutlined, StopOutlined } from '@ant-design/icons';
import { App, Button, Card, Collapse, Form, Grid, Input, InputNumber, Select, Slider, Space, Spin, Tabs, theme, Typography } from 'antd';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useSearchParams } from 'react-router';
import { body } from '../api/client';
import { getTasksTaskId, type TaskBody } from '../api/gen';
import { problemOf } from '../api/problem';
import { useModels } from '../api/stats';
import { origin } from '../app/base';
import { Code, EmptyState, Loaded, PageHeader, StatusTag } from '../components/basics';
import { useFormat } from '../components/format';
import { cliOf, curlOf, openaiOf, pythonOf } from '../features/playground/code';
import { useChat, type Turn } from '../features/playground/useChat';
import { ranMs, waitedMs } from '../features/tasks/columns';

type Choice = { model?: string; system: string; priority: 'high' | 'medium' | 'low'; temperature: number | null; maxTokens: number | null };
const KEY = 'llms.playground';
const START: Choice = { system: '', priority: 'high', temperature: null, maxTokens: 256 };

function kept(): Choice {
  try {
    return { ...START, ...(JSON.parse(sessionStorage.getItem(KEY) ?? '{}') as Partial<Choice>) };
  } catch {
    return START;
  }
}

function orderOf(choice: Choice, said: { role: string; content: string }[]): TaskBody {
  const messages = choice.system ? [{ role: 'system', content: choice.system }, ...said] : said;
  return {
    model: choice.model ?? '',
    type: 'chat',
    priority: choice.priority,
    input: { messages, ...(choice.maxTokens ? { max_tokens: choice.maxTokens } : {}), ...(choice.temperature !== null ? { temperature: choice.temperature } : {}) },
  };
}

function Bubble({ turn }: { turn: Turn }) {
  const { t } = useTranslation('playground');
  const format = useFormat();
  const { token } = theme.useToken();
  const isUser = turn.role === 'user';
  const { task } = turn;
  const duration = (ms: number | null) => (ms === null ? '–' : format.duration(Math.max(0, ms)));
  return (
    <li style={{ display: 'flex', flexDirection: 'column', alignItems: isUser ? 'flex-end' : 'flex-start', gap: 4 }}>
      <Typography.Text type="secondary" style={{ fontSize: 12 }}>{t(isUser ? 'you' : 'assistant')}</Typography.Text>
      <div style={{ maxWidth: '88%', padding: '8px 12px', borderRadius: 10, background: isUser ? token.controlItemBgActive : token.colorFillTertiary, whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}>
        {turn.text}
        {!isUser && !turn.text && !turn.error && turn.status !== 'cancelled' && (
          <Space size={8}><Spin size="small" />{turn.status === 'running' ? t('running') : turn.position ? t('place', { n: turn.position + 1 }) : t('waiting')}</Space>
        )}
        {!isUser && !turn.text && turn.status === 'cancelled' && <StatusTag status="cancelled" />}
        {turn.error && <Typography.Text type="danger">{t('failed', { message: turn.error })}</Typography.Text>}
      </div>
      {turn.taskId && (
        <Typography.Text type="secondary" style={{ fontSize: 12 }}>
          <Link to={`/tasks/${turn.taskId}`}>{t('task', { id: turn.taskId })}</Link>
          {task && ` · ${t('meta', { time: duration(ranMs(task)), wait: duration(waitedMs(task)), tokens: format.number(task.usage.total_tokens), count: task.usage.total_tokens, cost: format.money(task.cost_microusd) })}`}
        </Typography.Text>
      )}
    </li>
  );
}

function Parameters({ choice, onChange }: { choice: Choice; onChange: (part: Partial<Choice>) => void }) {
  const { t } = useTranslation('playground');
  const { t: words } = useTranslation();
  return (
    <Form layout="vertical">
      <Form.Item label={t('system')} htmlFor="system"><Input.TextArea id="system" autoSize={{ minRows: 2, maxRows: 8 }} placeholder={t('systemHint')} value={choice.system} onChange={(event) => onChange({ system: event.target.value })} /></Form.Item>
      <Form.Item label={t('priority')} htmlFor="priority"><Select id="priority" value={choice.priority} onChange={(priority) => onChange({ priority })} options={(['high', 'medium', 'low'] as const).map((value) => ({ value, label: words(`priority.${value}`) }))} /></Form.Item>
      <Form.Item label={`${t('temperature')}: ${choice.temperature ?? '–'}`}><Slider ariaLabelForHandle={t('temperature')} min={0} max={2} step={0.1} value={choice.temperature ?? 1} onChange={(temperature) => onChange({ temperature })} /></Form.Item>
      <Form.Item label={t('maxTokens')} htmlFor="most"><InputNumber id="most" min={1} max={1_000_000} value={choice.maxTokens} onChange={(maxTokens) => onChange({ maxTokens })} /></Form.Item>
    </Form>
  );
}

export function Component() {
  const { t } = useTranslation('playground');
  const isWide = Grid.useBreakpoint().lg !== false;
  const [params, setParams] = useSearchParams();
  const models = useModels();
  const [choice, setChoice] = useState(kept);
  const [text, setText] = useState('');
  const chat = useChat();
  const { message } = App.useApp();
  const end = useRef<HTMLDivElement>(null);
  const change = (part: Partial<Choice>) =>
    setChoice((before) => {
      const next = { ...before, ...part };
      sessionStorage.setItem(KEY, JSON.stringify(next));
      return next;
    });
  const names = models.data?.items.map(({ name }) => name) ?? [];
  const model = choice.model && names.includes(choice.model) ? choice.model : names[0];
  const current = { ...choice, model };
  const order = orderOf(current, [{ role: 'user', content: text || t('sample') }]);

  const taskId = params.get('task');
  const { begin } = chat;
  const began = useRef<string>(null);
  useEffect(() => {
    // A task is opened here once: its messages are the conversation, the last one is to be sent again.
    if (!taskId || began.current === taskId) return;
    began.current = taskId;
    void body(getTasksTaskId({ path: { task_id: Number(taskId) }, throwOnError: true })).then((task) => {
      const messages = (task.input as { messages?: { role: string; content: unknown }[] }).messages ?? [];
      const said = messages.filter(({ role, content }) => role !== 'system' && typeof content === 'string').map(({ role, content }) => ({ role: role === 'assistant' ? ('assistant' as const) : ('user' as const), text: String(content) }));
      const system = messages.find(({ role }) => role === 'system')?.content;
      change({ model: task.model, ...(typeof system === 'string' ? { system } : {}) });
      begin(said.slice(0, -1));
      setText(said.at(-1)?.text ?? '');
    }).catch((error: unknown) => void message.error(problemOf(error).message));
  }, [taskId, begin, message]);
  useEffect(() => {
    // Its promise, which newer browsers give, is no clean-up.
    void end.current?.scrollIntoView({ block: 'nearest' });
  }, [chat.turns]);

  const send = (what: string) => {
    if (!what.trim() || !model || chat.isBusy) return;
    setText('');
    void chat.send(what.trim(), (said) => orderOf(current, said));
  };
  const isSample = params.get('sample') !== null;
  useEffect(() => {
    if (isSample && model) {
      setParams({}, { replace: true });
      setText(t('sample'));
    }
  }, [isSample, model, setParams, t]);

  const samples = [
    { key: 'curl', label: t('curl'), children: <Code label={t('curl')} text={curlOf(origin(), order)} /> },
    { key: 'python', label: t('python'), children: <Code label={t('python')} text={pythonOf(origin(), order)} /> },
    { key: 'openai', label: t('openai'), children: <Code label={t('openai')} text={openaiOf(origin(), order)} /> },
    { key: 'cli', label: t('cli'), children: <Code label={t('cli')} text={cliOf(origin(), order)} /> },
  ];
  const parameters = <Parameters choice={current} onChange={change} />;
  return (
    <>
      <PageHeader title={t('title')} sub={t('sub')} />
      <Loaded query={models}>
        {() => names.length === 0 ? (
          <Card><EmptyState title={t('noModel')} hint={t('noModelHint')} action={<Link to="/models?add=1"><Button type="primary">{t('addModel')}</Button></Link>} /></Card>
        ) : (
          <div style={{ display: 'grid', gap: 12, gridTemplateColumns: isWide ? 'minmax(0, 1fr) 320px' : 'minmax(0, 1fr)' }}>
            <div style={{ display: 'grid', gap: 12, alignContent: 'start', gridTemplateColumns: 'minmax(0, 1fr)' }}>
              <Card
                size="small"
                title={<Select aria-label={t('model')} style={{ width: 'min(180px, 40vw)' }} value={model} onChange={(name) => change({ model: name })} options={names.map((value) => ({ value, label: value }))} />}
                extra={<Button icon={<ClearOutlined />} onClick={chat.clear} disabled={chat.turns.length === 0}>{t('clear')}</Button>}
              >
                <div style={{ minHeight: 260, maxHeight: '52vh', overflow: 'auto' }} tabIndex={0} role="log" aria-label={t('title')}>
                  {chat.turns.length === 0 && <EmptyState title={t('empty')} hint={t('emptyHint')} action={<Button onClick={() => send(t('sample'))}>{t('sample')}</Button>} />}
                  <ul style={{ listStyle: 'none', margin: 0, padding: 0, display: 'grid', gap: 12 }}>
                    {chat.turns.map((turn) => <Bubble key={turn.key} turn={turn} />)}
                  </ul>
                  <div ref={end} />
                </div>
                <div style={{ display: 'flex', gap: 8, marginTop: 12, alignItems: 'flex-end' }}>
                  <Input.TextArea
                    aria-label={t('message')}
                    autoFocus
                    autoSize={{ minRows: 2, maxRows: 8 }}
                    placeholder={t('messageHint')}
                    value={text}
                    onChange={(event) => setText(event.target.value)}
                    onKeyDown={(event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { event.preventDefault(); send(text); } }}
                  />
                  {chat.isBusy
                    ? <Button danger icon={<StopOutlined />} onClick={() => void chat.cancel()}>{t('stop')}</Button>
                    : <Button type="primary" icon={<SendOutlined />} disabled={!text.trim()} onClick={() => send(text)}>{t('send')}</Button>}
                </div>
              </Card>
              <Card size="small" title={t('code')}>
                <Typography.Text type="secondary">{t('codeHint')}</Typography.Text>
                {/* All of them fit a phone: antd puts what does not behind a button that a list of tabs may not have. */}
                <Tabs size="small" tabBarGutter={16} items={samples} />
              </Card>
            </div>
            {isWide ? <Card size="small" title={t('parameters')} style={{ alignSelf: 'start' }}>{parameters}</Card> : <Collapse size="small" items={[{ key: 'p', label: t('parameters'), children: parameters }]} />}
          </div>
        )}
      </Loaded>
    </>
  );
}
