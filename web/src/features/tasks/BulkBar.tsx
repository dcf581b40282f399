import { DownOutlined } from '@ant-design/icons';
import { Alert, App, Button, Dropdown, Progress, Space } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useAction, useBeginAction, type ActionName } from '../../api/actions';
import { useMay } from '../../api/me';
import { problemOf } from '../../api/problem';

const CONFIRM = { cancel: 'act.confirmCancel', retry: 'act.confirmRetry', delete: 'act.confirmDelete', set_priority: 'act.confirmPriority' } as const;

/** Actions on the selection, or on everything that matches; with their progress. */
export function BulkBar({ count, filter, onStarted, onClear, children }: { count: number; filter: Record<string, unknown>; onStarted: () => void; onClear: () => void; children?: React.ReactNode }) {
  const { t } = useTranslation('tasks');
  const { t: words } = useTranslation();
  const { modal, message } = App.useApp();
  const may = useMay();
  const [running, setRunning] = useState<{ id: number; name: ActionName }>();
  const begin = useBeginAction();
  const progress = useAction(running?.id);
  const start = (action: ActionName, priority?: number) => {
    void modal.confirm({
      title: t('act.onSelected', { action: t(`act.${action}`), count }),
      content: t(CONFIRM[action]),
      okText: t(`act.${action}`),
      cancelText: words('action.close'),
      okButtonProps: { danger: action === 'delete' || action === 'cancel' },
      onOk: async () => {
        try {
          const found = await begin.mutateAsync({ action, filter, ...(priority === undefined ? {} : { priority }) });
          setRunning({ id: found.id, name: action });
          onStarted();
        } catch (error) {
          void message.error(problemOf(error).message);
        }
      },
    });
  };
  const state = progress.data;
  return (
    <>
      {running && state && (
        <Alert
          style={{ marginBottom: 12 }}
          closable={{ onClose: () => setRunning(undefined) }}
          type={state.status === 'failed' ? 'error' : state.status === 'completed' ? 'success' : 'info'}
          title={t(state.status === 'running' ? 'act.running' : state.status === 'completed' ? 'act.finished' : 'act.failed', { action: t(`act.${running.name}`), seen: state.seen, count: state.seen, changed: state.changed, error: state.error })}
          description={state.status === 'running' && <><Progress percent={100} status="active" showInfo={false} size="small" />{t('act.background')}</>}
        />
      )}
      {count > 0 && may('tasks:manage') && (
        <Space wrap style={{ marginBottom: 12 }} role="toolbar" aria-label={t('selected', { count })}>
          <strong>{t('selected', { count })}</strong>
          {children}
          <Button size="small" onClick={() => start('cancel')}>{t('act.cancel')}</Button>
          <Button size="small" onClick={() => start('retry')}>{t('act.retry')}</Button>
          <Dropdown trigger={['click']} menu={{ items: ([['high', 0], ['medium', 5], ['low', 9]] as const).map(([name, value]) => ({ key: name, label: words(`priority.${name}`), onClick: () => start('set_priority', value) })) }}>
            <Button size="small">{t('act.set_priority')} <DownOutlined /></Button>
          </Dropdown>
          <Button size="small" danger onClick={() => start('delete')}>{t('act.delete')}</Button>
          <Button size="small" type="text" onClick={onClear}>{t('clearSelection')}</Button>
        </Space>
      )}
    </>
  );
}
