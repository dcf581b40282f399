import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Alert, App, Checkbox, InputNumber, Modal, Skeleton, Space, Typography } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { body } from '../../api/client';
import { deleteModelsName, postModelsNamePause, postModelsNameResume, postModelsNameScale, postModelsNameTest, type ModelShown } from '../../api/gen';
import { problemOf } from '../../api/problem';
import { Code } from '../../components/basics';
import { useFormat } from '../../components/format';

/** Pause, resume, remove: asked first where something stops. */
export function useModelActions() {
  const { t } = useTranslation('models');
  const { t: words } = useTranslation();
  const { message, modal } = App.useApp();
  const queries = useQueryClient();
  const done = (text: string) => {
    void message.success(text);
    void queries.invalidateQueries();
  };
  const onError = (error: unknown) => void message.error(problemOf(error).message);
  const pause = useMutation({ mutationFn: (name: string) => body(postModelsNamePause({ path: { name }, throwOnError: true })), onSuccess: ({ name }) => done(t('told.paused', { name })), onError });
  const resume = useMutation({ mutationFn: (name: string) => body(postModelsNameResume({ path: { name }, throwOnError: true })), onSuccess: ({ name }) => done(t('told.resumed', { name })), onError });
  const remove = useMutation({ mutationFn: async (name: string) => { await deleteModelsName({ path: { name }, throwOnError: true }); return name; }, onSuccess: (name) => done(t('told.removed', { name })), onError });
  const ask = (title: string, content: string, isDanger: boolean, onOk: () => Promise<unknown>) =>
    void modal.confirm({ title, content, okText: title, cancelText: words('action.close'), okButtonProps: { danger: isDanger }, onOk: () => onOk().catch(() => undefined) });
  return {
    pause: (name: string) => ask(t('action.pause'), t('confirm.pause', { name }), false, () => pause.mutateAsync(name)),
    resume: (name: string) => resume.mutate(name),
    remove: (name: string, after: () => void) => ask(t('action.remove'), t('confirm.remove', { name }), true, () => remove.mutateAsync(name).then(after)),
  };
}

export function ScaleModal({ model, onClose }: { model: ModelShown; onClose: () => void }) {
  const { t } = useTranslation('models');
  const { t: words } = useTranslation();
  const { message } = App.useApp();
  const queries = useQueryClient();
  const [count, setCount] = useState<number | null>(model.max_workers);
  const [isAuto, setAuto] = useState(model.auto_workers !== null);
  const scale = useMutation({
    mutationFn: () => body(postModelsNameScale({ path: { name: model.name }, body: { max_workers: isAuto ? 'auto' : (count ?? 1) }, throwOnError: true })),
    onSuccess: ({ name, max_workers }) => {
      void message.success(t('told.scaled', { name, count: max_workers }));
      void queries.invalidateQueries();
      onClose();
    },
    onError: (error) => void message.error(problemOf(error).message),
  });
  return (
    <Modal open width={420} title={t('scale.title', { name: model.name })} okText={words('action.save')} cancelText={words('action.cancel')} confirmLoading={scale.isPending} onOk={() => scale.mutate()} onCancel={onClose}>
      <Space orientation="vertical">
        <InputNumber aria-label={t('card.workers')} min={1} max={100_000} value={count} disabled={isAuto} onChange={setCount} autoFocus />
        <Checkbox checked={isAuto} onChange={(event) => setAuto(event.target.checked)}>{t('scale.auto')}</Checkbox>
        <Typography.Text type="secondary">{t('scale.hint')}</Typography.Text>
      </Space>
    </Modal>
  );
}

export function TestModal({ name, onClose }: { name: string; onClose: () => void }) {
  const { t } = useTranslation('models');
  const format = useFormat();
  const test = useMutation({ mutationFn: () => body(postModelsNameTest({ path: { name }, throwOnError: true })) });
  const { mutate } = test;
  useEffect(() => mutate(), [mutate]);
  const found = test.data;
  return (
    <Modal open title={t('test.title', { name })} footer={null} onCancel={onClose}>
      <Space orientation="vertical" style={{ width: '100%' }}>
        <Typography.Text type="secondary">{t('test.hint')}</Typography.Text>
        {test.isPending && <Skeleton active paragraph={{ rows: 2 }} title={false} />}
        {test.error && <Alert type="error" showIcon role="alert" title={problemOf(test.error).message} />}
        {found?.ok && <Alert type="success" showIcon role="status" title={t('test.ok', { time: format.duration(found.latency_ms) })} description={found.ttft_ms !== null && t('test.ttft', { time: format.duration(found.ttft_ms) })} />}
        {found && !found.ok && <Alert type="error" showIcon role="alert" title={t('test.failed')} description={found.error?.message} />}
        {found?.text && <Code text={found.text} />}
      </Space>
    </Modal>
  );
}
