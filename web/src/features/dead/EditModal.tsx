import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Alert, App, Input, Modal, Skeleton, Typography } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { body } from '../../api/client';
import { postTasksTaskIdRetry } from '../../api/gen';
import { problemOf } from '../../api/problem';
import { useTaskText } from '../../api/tasks';
import { MONO } from '../../app/theme';
import { member, prettyJson } from '../task/lossless';

/** The request of a dead letter, to be mended and sent again. */
export function EditModal({ id, onClose }: { id: number; onClose: () => void }) {
  const { t } = useTranslation('deadLetters');
  const { t: words } = useTranslation();
  const { message } = App.useApp();
  const queries = useQueryClient();
  const query = useTaskText(id, true);
  const [text, setText] = useState<string>();
  const [fault, setFault] = useState<string>();
  useEffect(() => {
    if (query.data && text === undefined) setText(prettyJson(member(query.data, 'input') ?? '{}'));
  }, [query.data, text]);
  const send = useMutation({
    mutationFn: (input: Record<string, unknown>) => body(postTasksTaskIdRetry({ path: { task_id: id }, body: { input }, throwOnError: true })),
    onSuccess: () => {
      void message.success(t('requeued', { count: 1 }));
      void queries.invalidateQueries();
      onClose();
    },
    onError: (error) => setFault(problemOf(error).message),
  });
  const submit = () => {
    try {
      const input: unknown = JSON.parse(text ?? '');
      if (typeof input !== 'object' || input === null || Array.isArray(input)) throw new Error('{ … }');
      setFault(undefined);
      send.mutate(input as Record<string, unknown>);
    } catch (error) {
      setFault(t('badJson', { reason: error instanceof Error ? error.message : String(error) }));
    }
  };
  return (
    <Modal open width={720} title={t('editTitle', { id })} okText={t('requeue')} cancelText={words('action.cancel')} confirmLoading={send.isPending} onOk={submit} onCancel={onClose}>
      <Typography.Paragraph type="secondary">{t('editHint')}</Typography.Paragraph>
      {fault && <Alert role="alert" type="error" showIcon style={{ marginBottom: 12 }} title={fault} />}
      {text === undefined ? <Skeleton active /> : <Input.TextArea aria-label={t('editTitle', { id })} value={text} onChange={(event) => setText(event.target.value)} autoSize={{ minRows: 8, maxRows: 22 }} spellCheck={false} style={{ fontFamily: MONO, fontSize: 12.5 }} />}
    </Modal>
  );
}
