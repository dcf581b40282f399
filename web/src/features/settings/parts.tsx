import { DownloadOutlined, WarningOutlined } from '@ant-design/icons';
import { useMutation, useQueryClient, type UseInfiniteQueryResult } from '@tanstack/react-query';
import { Alert, App, Button, Form, Input, Modal, Space, Typography, type FormInstance } from 'antd';
import { useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { problemOf } from '../../api/problem';
import { MONO } from '../../app/theme';
import { CopyButton } from '../../components/basics';

/** The head of a section, and what stands beneath it. */
export function Section({ title, sub, extra, children }: { title: string; sub?: ReactNode; extra?: ReactNode; children: ReactNode }) {
  return (
    <section aria-label={title} style={{ minWidth: 0 }}>
      <div className="page-header">
        <div style={{ minWidth: 0, flex: '1 1 240px' }}>
          <Typography.Title level={2} style={{ fontSize: 18, margin: 0 }}>{title}</Typography.Title>
          {sub && <Typography.Text type="secondary">{sub}</Typography.Text>}
        </div>
        {extra && <Space wrap>{extra}</Space>}
      </div>
      <div style={{ display: 'grid', gap: 12, gridTemplateColumns: 'minmax(0, 1fr)' }}>{children}</div>
    </section>
  );
}

/** Names and values, a pair on each line. */
export function Facts({ rows }: { rows: [string, ReactNode][] }) {
  return (
    <dl className="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A change that tells how it ended and has the lists asked for anew. */
export function useChange<T, R>(change: (what: T) => Promise<R>, { told, onDone, isQuiet = false }: { told?: (answer: R, what: T) => string; onDone?: (answer: R, what: T) => void; isQuiet?: boolean } = {}) {
  const { message } = App.useApp();
  const queries = useQueryClient();
  return useMutation({
    mutationFn: change,
    onSuccess: (answer, what) => {
      if (told) void message.success(told(answer, what));
      void queries.invalidateQueries();
      onDone?.(answer, what);
    },
    onError: (error) => {
      if (!isQuiet) void message.error(problemOf(error).message);
    },
  });
}

/** Writes what the server says of single fields beside them; true if that was all it said. */
export function showFieldErrors(form: FormInstance, error: unknown, names: string[]): boolean {
  const found = Object.entries(problemOf(error).byField).flatMap(([path, text]) => {
    const name = names.find((one) => path === one || path.startsWith(`${one}.`) || path.endsWith(`.${one}`));
    return name ? [{ name, errors: [text] }] : [];
  });
  if (found.length) form.setFields(found as never);
  return found.length > 0;
}

/** What the server says of a form as a whole. */
export function FormProblem({ error, isTold }: { error: unknown; isTold?: boolean }) {
  if (!error || isTold) return null;
  const problem = problemOf(error);
  const fields = Object.entries(problem.byField).map(([path, text]) => (path ? `${path}: ${text}` : text));
  return <Alert role="alert" type="error" showIcon style={{ marginBottom: 12 }} title={fields[0] ?? problem.message} />;
}

/** A form in a window. Field errors of the server stand at the fields. */
export function FormModal<F extends object>({ title, okText, initial, names, onSend, onClose, children, width = 520, isDanger = false }: { title: string; okText: string; initial?: Partial<F>; names: (keyof F & string)[]; onSend: (fields: F) => Promise<unknown>; onClose: () => void; children: ReactNode; width?: number; isDanger?: boolean }) {
  const { t: words } = useTranslation();
  const [form] = Form.useForm<F>();
  const [isTold, setTold] = useState(false);
  const send = useChange(onSend, { isQuiet: true });
  const submit = (fields: F) => send.mutate(fields, { onSuccess: onClose, onError: (error) => setTold(showFieldErrors(form as FormInstance, error, names)) });
  return (
    <Modal open width={width} title={title} okText={okText} cancelText={words('action.cancel')} confirmLoading={send.isPending} okButtonProps={{ danger: isDanger }} onOk={form.submit} onCancel={onClose}>
      <FormProblem error={send.error} isTold={isTold} />
      <Form form={form} layout="vertical" requiredMark={false} initialValues={initial} onFinish={submit}>{children}</Form>
    </Modal>
  );
}

/** Asks for a name to be typed before something goes for good. */
export function TypedConfirm({ title, what, name, okText, onOk, onClose }: { title: string; what: ReactNode; name: string; okText: string; onOk: () => Promise<unknown>; onClose: () => void }) {
  const { t } = useTranslation('settings');
  const { t: words } = useTranslation();
  const [typed, setTyped] = useState('');
  const go = useChange(onOk, { isQuiet: true });
  return (
    <Modal open title={title} okText={okText} cancelText={words('action.cancel')} okButtonProps={{ danger: true, disabled: typed !== name }} confirmLoading={go.isPending} onOk={() => go.mutate(undefined, { onSuccess: onClose })} onCancel={onClose}>
      <FormProblem error={go.error} />
      <Typography.Paragraph>{what}</Typography.Paragraph>
      <label htmlFor="typed-name">{t('typeName', { name })}</label>
      <Input id="typed-name" autoFocus autoComplete="off" spellCheck={false} value={typed} onChange={(event) => setTyped(event.target.value)} onPressEnter={() => typed === name && go.mutate(undefined, { onSuccess: onClose })} style={{ marginTop: 4 }} />
    </Modal>
  );
}

function savePlain(text: string, name: string) {
  const address = URL.createObjectURL(new Blob([text, '\n'], { type: 'text/plain;charset=utf-8' }));
  Object.assign(document.createElement('a'), { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** A text that is shown this once: it goes away only when told to. */
export function ShownOnce({ title, label, text, warning, fileName, children, onClose }: { title: string; label: string; text: string; warning: string; fileName?: string; children?: ReactNode; onClose: () => void }) {
  const { t } = useTranslation('settings');
  return (
    <Modal open title={title} width={600} closable={false} mask={{ closable: false }} keyboard={false} footer={<Button type="primary" onClick={onClose}>{t('haveIt')}</Button>}>
      <Alert type="warning" showIcon icon={<WarningOutlined />} style={{ marginBottom: 12 }} title={warning} />
      <div className="code">
        <div className="code-copy"><CopyButton text={text} label={t('copyIt')} /></div>
        <pre aria-label={label} data-secret tabIndex={0} style={{ fontFamily: MONO }}>{text}</pre>
      </div>
      {fileName && <Button icon={<DownloadOutlined />} style={{ marginTop: 8 }} onClick={() => savePlain(text, fileName)}>{t('download')}</Button>}
      {children}
    </Modal>
  );
}

/** The next page of a list that has one. */
export function More({ query, label }: { query: Pick<UseInfiniteQueryResult, 'hasNextPage' | 'isFetchingNextPage' | 'fetchNextPage'>; label?: string }) {
  const { t: words } = useTranslation();
  return query.hasNextPage ? <Button loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>{label ?? words('action.showMore')}</Button> : null;
}
